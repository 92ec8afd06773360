"""One turn of the loop: `as_of` moves forward, and `dvc repro` says what that changes."""

from datetime import UTC, datetime
from pathlib import Path

from cll import config, guard, ledger, progress, repro, review, sides, store, world
from cll.errors import ConfigError
from cll.values import format_instant

_WORLD = "world.yaml"


def tick(root: Path, as_of: datetime | None = None) -> tuple[int, review.Review | None]:
    """Move the world to `as_of`, or else to the last whole hour; return DVC's code, and what changed.

    The champion is from now on what the ledger says. Only a moment that is named moves the world
    back. Where a stage fails, world.yaml is as it was.
    """
    with guard.only_one(root):
        now = config.load_world(root / _WORLD).as_of
        then = as_of or datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        if as_of is None and then < now:
            raise ConfigError(
                f"world.yaml: as_of={format_instant(now)} is later than now, "
                f"{format_instant(then)}; name the instant to move it back: cll tick --as-of."
            )
        before = sides.of_folder(root)
        # Without a ledger, the champion is what a person wrote.
        champion = ledger.champion(root) if ledger.read(root) else None
        progress.note(f"tick: as_of {format_instant(now)} -> {format_instant(then)}")
        if code := _reproduce(root, then, champion):
            says = f"world.yaml: as_of is {format_instant(now)} again; `dvc repro` undoes the rest."
            progress.say(f"cll: {says}")
            return code, None
        return 0, review.between(root, before, f"as_of {format_instant(now)}")


def _reproduce(root: Path, as_of: datetime, champion: str | None) -> int:
    """Run `dvc repro` at `as_of`; where it fails or is interrupted, put world.yaml back."""
    path, code = root / _WORLD, 1
    before = path.read_bytes()
    world.put(path, "as_of", format_instant(as_of))
    if champion is not None:
        world.put(path, "champion", champion)
    after = path.read_bytes()
    try:
        code = repro.run(root)
    finally:
        if code and path.read_bytes() == after:
            store.write_bytes(path, before)
    return code
