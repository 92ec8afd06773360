"""Detection of an unfinished merge by its conflict markers, with the steps that finish it."""

from pathlib import Path

from cll.types.errors import ConfigError

_FILES = (
    "params.yaml",
    "world.yaml",
    "dvc.yaml",
    "dvc.lock",
    "resolved.yaml",
    "metrics.json",
    "reports/*.*",
    "registry/schema.yaml",
    "registry/arrivals.jsonl",  # ledger_entries.py reports conflicts in the ledger
)
_SMALL = 10_000_000  # bytes; larger files are not in git
_MARKER = b"<<<<<<< "
MADE = "dvc.lock resolved.yaml metrics.json reports registry/schema.yaml"
_RECIPE = (
    "mend params.yaml and world.yaml by hand, then `git checkout --ours {made}`, `dvc repro`, "
    "`git add -u`, `git commit`"
)


def refuse(root: Path) -> None:
    """Raise ConfigError if a file of the project contains merge conflict markers."""
    for path in (match for pattern in _FILES for match in sorted(root.glob(pattern))):
        if path.suffix == ".html" or not path.is_file() or path.stat().st_size > _SMALL:
            continue
        data = path.read_bytes()
        if data.startswith(_MARKER) or b"\n" + _MARKER in data:
            name = path.relative_to(root)
            recipe = _RECIPE.format(made=MADE)
            raise ConfigError(f"{name}: holds the conflict markers of a merge: {recipe}.")
