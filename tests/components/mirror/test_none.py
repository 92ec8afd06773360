from pathlib import Path

from cll.components.mirror.none import NoMirror
from cll.types.verdicts import Released


def test_nothing_is_mirrored():
    assert NoMirror()(Path("nowhere"), [Released("v1.0.0", "1" * 40, "first")], "v1.0.0") == []
