"""One turn of the loop: `as_of` moves forward, and `dvc repro` says what that changes."""

import re
from datetime import UTC, datetime
from pathlib import Path

from cll import config, guard, progress, repro, review, sides, store
from cll.errors import ConfigError
from cll.values import format_instant

_WORLD = "world.yaml"
# The value of the key alone, so that quotes and comments stay as a person wrote them.
_AS_OF = re.compile(
    r"""^(as_of:[ \t]*(?P<quote>["']?))(?P<instant>[^"'#\s]+)(?=(?P=quote))""", re.MULTILINE
)


def tick(root: Path, as_of: datetime | None = None) -> tuple[int, review.Review | None]:
    """Move the world to `as_of`, or else to the last whole hour; return DVC's code, and what changed.

    Only a moment that is named moves it back. Where a stage fails, world.yaml is as it was.
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
        progress.note(f"tick: as_of {format_instant(now)} -> {format_instant(then)}")
        if code := _reproduce(root, then):
            says = f"world.yaml: as_of is {format_instant(now)} again; `dvc repro` undoes the rest."
            progress.say(f"cll: {says}")
            return code, None
        return 0, review.between(root, before, f"as_of {format_instant(now)}")


def _reproduce(root: Path, as_of: datetime) -> int:
    """Run `dvc repro` at `as_of`; where it fails or is interrupted, put world.yaml back."""
    path, code = root / _WORLD, 1
    before = path.read_bytes()
    after = _at(before.decode(), format_instant(as_of)).encode()
    store.write_bytes(path, after)
    try:
        code = repro.run(root)
    finally:
        if code and path.read_bytes() == after:
            store.write_bytes(path, before)
    return code


def _at(text: str, instant: str) -> str:
    r"""Write another instant, and nothing else.

    >>> _at("# now\nas_of: '2026-01-01T00:00:00Z'  # UTC\n", "2026-01-02T00:00:00Z")
    "# now\nas_of: '2026-01-02T00:00:00Z'  # UTC\n"
    """
    written, found = _AS_OF.subn(rf"\g<1>{instant}", text)
    if found != 1:
        raise ConfigError(f'{_WORLD}: as_of is written in a way of its own; as_of: "{instant}".')
    return written
