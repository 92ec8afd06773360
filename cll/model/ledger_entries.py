"""The ledger's lines: each names the digest of the line before it, so that none can be altered."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from cll.types.errors import CllError, ConfigError, SecurityRefusal

NONE = "none"
PATH = "registry/ledger.jsonl"
RESTORE = f"restore it: `git checkout HEAD -- {PATH}`"
Bump = Literal["major", "minor", "patch"]
Kind = Literal["release", "rollback"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Model = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Version = Annotated[str, Field(pattern=r"^v(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$")]
_NONE_OR = r"^(none|[0-9a-f]{%d})$"
_CONFLICT = re.compile(r"(<<<<<<<|=======|>>>>>>>|\|\|\|\|\|\|\|)( |$)")
_PARTS: tuple[Bump, ...] = ("major", "minor", "patch")


@dataclass(frozen=True)
class Judged:
    """The gate's answer, and the digest of reports/verdict.json."""

    answer: Literal["promote"]
    sha256: Digest


@dataclass(frozen=True)
class Entry:
    """One release, or one return to an earlier one."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: Kind
    version: Version  # a release's own; of a rollback: the one that it puts in force again
    model_id: Model
    sums: Digest  # of the model's SHA256SUMS
    known: Digest  # of the rows whose scores are known
    verdict: Judged
    champion_before: Annotated[str, Field(pattern=_NONE_OR % 16)]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]  # the tree was at it
    as_of: str
    instant: str  # by the clock
    why: str
    before: Annotated[str, Field(pattern=_NONE_OR % 64)]  # digest of the line before

    def __str__(self) -> str:
        return f"{self.version} ({self.model_id})"


_FORM: TypeAdapter[Entry] = TypeAdapter(Entry)


def line(entry: Entry) -> str:
    """Write an entry in its only form, without the line's end."""
    return json.dumps(asdict(entry), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def tip(entries: Sequence[Entry]) -> str:
    """Return what the next entry has to name as the digest of the line before it."""
    return digest(line(entries[-1])) if entries else NONE


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def parse(text: str, where: str = PATH) -> tuple[Entry, ...]:
    """Read a ledger; the first line that is not what was appended there is refused."""
    lines = text.split("\n")
    for number, one in enumerate(lines, 1):
        if _CONFLICT.match(one):
            raise ConfigError(
                f"{where}:{number}: a merge conflict; keep the upstream's lines alone"
                " (`git checkout --theirs` or `--ours`), then release again what is lacking."
            )
    if lines.pop() or not lines:
        raise SecurityRefusal(f"{where}: empty, or its last line is cut off; {RESTORE}.")
    entries: list[Entry] = []
    for number, one in enumerate(lines, 1):
        entry = _read(one, f"{where}:{number}")
        _follows(entries, entry, f"{where}:{number}")
        entries.append(entry)
    return tuple(entries)


def _read(text: str, where: str) -> Entry:
    try:
        entry = _FORM.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"]) or "the line"
        says = f"{key}: {first['msg'][0].lower()}{first['msg'][1:].rstrip('.')}"
        raise SecurityRefusal(f"{where}: not an entry: {says}; {RESTORE}.") from None
    if line(entry) != text:
        raise SecurityRefusal(f"{where}: not written by `cll`: edited by hand; {RESTORE}.")
    return entry


def _follows(entries: Sequence[Entry], entry: Entry, where: str) -> None:
    if entry.before != tip(entries):
        raise SecurityRefusal(
            f"{where}: the chain is broken: the line before it is not the one it was written after;"
            f" {RESTORE}."
        )
    released = find(entries, entry.version)
    if entry.kind == "release" and released:
        raise SecurityRefusal(f"{where}: {entry.version} was released before; {RESTORE}.")
    same = ("model_id", "sums", "known", "verdict")
    if entry.kind == "rollback" and (
        released is None or any(getattr(entry, k) != getattr(released, k) for k in same)
    ):
        raise SecurityRefusal(f"{where}: {entry} was never released; {RESTORE}.")
    if entries and entry.champion_before != in_force(entries):
        raise SecurityRefusal(f"{where}: {entry.champion_before} was not in force; {RESTORE}.")


def in_force(entries: Sequence[Entry]) -> str:
    """Return the model_id of the champion."""
    return entries[-1].model_id if entries else NONE


def find(entries: Sequence[Entry], version: str) -> Entry | None:
    """Return the release of this version, or of this model_id."""
    for entry in entries:
        if entry.kind == "release" and version in {entry.version, entry.model_id}:
            return entry
    return None


def released(entries: Sequence[Entry], version: str) -> Entry:
    """Return the release of this version; there has to be one."""
    found = find(entries, version)
    if found is None:
        known = ", ".join(entry.version for entry in entries if entry.kind == "release") or NONE
        raise ConfigError(f"{version}: never released; there are: {known}.")
    return found


def one_before(entries: Sequence[Entry]) -> Entry:
    """Return the release that was in force when the present one was released.

    So what was rolled back from is not come back to.
    """
    now = released(entries, in_force(entries))
    if now.champion_before == NONE or find(entries, now.champion_before) is None:
        raise ConfigError(f"{now.version}: nothing was released before it; name a version.")
    return released(entries, now.champion_before)


def next_version(entries: Sequence[Entry], bump: Bump) -> str:
    """Return the highest version so far, one further; the first is v1.0.0."""
    numbers = [[int(n) for n in e.version[1:].split(".")] for e in entries if e.kind == "release"]
    if not numbers:
        return "v1.0.0"
    highest, at = max(numbers), _PARTS.index(bump)
    raised = [*highest[:at], highest[at] + 1, *[0] * (len(_PARTS) - at - 1)]
    return "v" + ".".join(map(str, raised))


def unaltered(text: str, earlier: str, commit: str) -> CllError | None:
    """Say how a ledger is not the continuation of what a commit has."""
    if text.startswith(earlier):
        return None
    now, then = text.split("\n"), earlier.split("\n")
    number = next((n for n, (a, b) in enumerate(zip(now, then, strict=False)) if a != b), len(now))
    gone = number >= len(now) - 1
    says = "lacks what" if gone else "is not what"
    return SecurityRefusal(
        f"{PATH}:{number + 1}: {says} commit {commit[:12]} has there; a release is taken back by"
        f" `cll rollback` alone; restore it: `git checkout {commit[:12]} -- {PATH}`."
    )
