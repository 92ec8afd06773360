from pathlib import Path

from cll.registry.none import NoMirror
from cll.values import Released


def test_nothing_is_mirrored():
    assert NoMirror()(Path("nowhere"), [Released("v1.0.0", "1" * 40, "first")], "v1.0.0") == []
