"""Ledger entries: each line holds the digest of the line before, so a changed line is detected."""

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
ModelId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Version = Annotated[str, Field(pattern=r"^v(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$")]
_NONE_OR = r"^(none|[0-9a-f]{%d})$"
_CONFLICT = re.compile(r"(<<<<<<<|=======|>>>>>>>|\|\|\|\|\|\|\|)( |$)")
_PARTS: tuple[Bump, ...] = ("major", "minor", "patch")


@dataclass(frozen=True)
class VerdictRecord:
    """The gate's answer, and the digest of reports/verdict.json."""

    answer: Literal["promote"]
    sha256: Digest


@dataclass(frozen=True)
class LedgerEntry:
    """One release, or one rollback to an earlier release."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: Kind
    version: Version  # for a rollback, the version that becomes champion again
    model_id: ModelId
    sums: Digest  # digest of the model's SHA256SUMS
    known: Digest  # digest of the rows with known scores, which a smoke test recomputes
    verdict: VerdictRecord
    champion_before: Annotated[str, Field(pattern=_NONE_OR % 16)]
    revision: Annotated[
        str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")
    ]  # the commit at HEAD of the working tree
    as_of: str
    instant: str  # wall clock time
    why: str
    before: Annotated[str, Field(pattern=_NONE_OR % 64)]  # digest of the line before

    def __str__(self) -> str:
        return f"{self.version} ({self.model_id})"


_ADAPTER: TypeAdapter[LedgerEntry] = TypeAdapter(LedgerEntry)


def line(entry: LedgerEntry) -> str:
    """Return an entry in its canonical JSON form, without a line end."""
    return json.dumps(asdict(entry), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def tip(entries: Sequence[LedgerEntry]) -> str:
    """Return the digest that the next entry must hold for the line before it."""
    return digest(line(entries[-1])) if entries else NONE


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def parse(text: str, where: str = PATH) -> tuple[LedgerEntry, ...]:
    """Return a ledger's entries; raise on the first line that `cll` did not append as it is.

    `where` is the file's name for messages.
    """
    lines = text.split("\n")
    for number, text_line in enumerate(lines, 1):
        if _CONFLICT.match(text_line):
            raise ConfigError(
                f"{where}:{number}: a merge conflict; keep only the upstream's lines"
                " (`git checkout --theirs` or `--ours`), then release again what is missing."
            )
    if lines.pop() or not lines:
        raise SecurityRefusal(f"{where}: empty, or its last line is cut off; {RESTORE}.")
    entries: list[LedgerEntry] = []
    for number, text_line in enumerate(lines, 1):
        entry = _read(text_line, f"{where}:{number}")
        _refuse_unless_follows(entries, entry, f"{where}:{number}")
        entries.append(entry)
    return tuple(entries)


def _read(text: str, where: str) -> LedgerEntry:
    try:
        entry = _ADAPTER.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"]) or "the line"
        reason = f"{key}: {first['msg'][0].lower()}{first['msg'][1:].rstrip('.')}"
        raise SecurityRefusal(f"{where}: not a ledger entry: {reason}; {RESTORE}.") from None
    if line(entry) != text:
        raise SecurityRefusal(f"{where}: not written by `cll`, but edited by hand; {RESTORE}.")
    return entry


def _refuse_unless_follows(entries: Sequence[LedgerEntry], entry: LedgerEntry, where: str) -> None:
    if entry.before != tip(entries):
        raise SecurityRefusal(
            f"{where}: the chain is broken: the line before was changed or removed; {RESTORE}."
        )
    released = find(entries, entry.version)
    if entry.kind == "release" and released:
        raise SecurityRefusal(f"{where}: {entry.version} was already released; {RESTORE}.")
    same = ("model_id", "sums", "known", "verdict")
    if entry.kind == "rollback" and (
        released is None or any(getattr(entry, k) != getattr(released, k) for k in same)
    ):
        raise SecurityRefusal(f"{where}: {entry} was never released; {RESTORE}.")
    if entries and entry.champion_before != in_force(entries):
        raise SecurityRefusal(f"{where}: {entry.champion_before} was not the champion; {RESTORE}.")


def in_force(entries: Sequence[LedgerEntry]) -> str:
    """Return the model_id of the champion after the last entry."""
    return entries[-1].model_id if entries else NONE


def find(entries: Sequence[LedgerEntry], version: str) -> LedgerEntry | None:
    """Return the release with this version or model_id; None where there is none."""
    for entry in entries:
        if entry.kind == "release" and version in {entry.version, entry.model_id}:
            return entry
    return None


def released(entries: Sequence[LedgerEntry], version: str) -> LedgerEntry:
    """Return the release with this version or model_id; raise where there is none."""
    entry = find(entries, version)
    if entry is None:
        versions = ", ".join(entry.version for entry in entries if entry.kind == "release") or NONE
        raise ConfigError(f"{version}: never released; released are: {versions}.")
    return entry


def previous_release(entries: Sequence[LedgerEntry]) -> LedgerEntry:
    """Return the release that was champion when the present champion was first released.

    A second rollback therefore goes further back, not forward to the version that was left.
    """
    now = released(entries, in_force(entries))
    if now.champion_before == NONE or find(entries, now.champion_before) is None:
        raise ConfigError(f"{now.version}: no version was released before it; name one.")
    return released(entries, now.champion_before)


def next_version(entries: Sequence[LedgerEntry], bump: Bump) -> str:
    """Return the highest released version with one part raised; the first is v1.0.0."""
    numbers = [[int(n) for n in e.version[1:].split(".")] for e in entries if e.kind == "release"]
    if not numbers:
        return "v1.0.0"
    highest, at = max(numbers), _PARTS.index(bump)
    raised = [*highest[:at], highest[at] + 1, *[0] * (len(_PARTS) - at - 1)]
    return "v" + ".".join(map(str, raised))


def unaltered(text: str, earlier: str, commit: str) -> CllError | None:
    """Return an error where a ledger does not begin with all lines that a commit has of it."""
    if text.startswith(earlier):
        return None
    now, then = text.split("\n"), earlier.split("\n")
    number = next((n for n, (a, b) in enumerate(zip(now, then, strict=False)) if a != b), len(now))
    is_missing = number >= len(now) - 1
    fault = "missing, unlike in" if is_missing else "not the line of"
    return SecurityRefusal(
        f"{PATH}:{number + 1}: {fault} commit {commit[:12]}; only `cll rollback`"
        f" takes a release back; restore it: `git checkout {commit[:12]} -- {PATH}`."
    )
