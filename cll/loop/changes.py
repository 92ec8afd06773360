"""What a tick brought that git does not have yet, besides a later `as_of`; and a commit's words for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cll.config import yaml_loader
from cll.loop import trigger_report
from cll.model import ledger_entries
from cll.release import ledger
from cll.system import disk
from cll.system.partitions import SealedFolder
from cll.system.workspace import Workspace
from cll.types.errors import CllError
from cll.types.records import RECORDS
from cll.types.triggers import TriggerDecision
from cll.vcs import git

BROKEN_OFF = "An earlier training was broken off."
_LOCK, _WORLD, _COUNTS = "dvc.lock", "world.yaml", "reports/ingest.json"
# What a later `as_of` changes where no record is new: the manifests of both folders name it.
_FOLLOWS = {"data/signals", "data/features"}
_MOVES = {_LOCK, _WORLD, f"reports/{trigger_report.NAME}"}


@dataclass(frozen=True)
class Turned:
    """What happened in a tick, for those who read of it."""

    before: str  # as_of
    as_of: str
    answer: TriggerDecision
    trained: bool
    verdict: Mapping[str, Any] | None  # on the candidate that is there
    unreleased: str = ""  # why it is not released, where the gate promotes it


def data(ws: Workspace) -> list[Mapping[str, Any]]:
    """Return the digests of all days of signals and features."""
    return [SealedFolder(folder).files for folder in (ws.signals, ws.features)]


def moved(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether days are others than before; a clone that had none can't tell."""
    return all(before) and before != after


def is_any(root: Path, *, moved: bool) -> bool:
    """Tell whether more is new, against HEAD, than `as_of` and what follows from it.

    `moved`: days of data are others than before the tick, which git sees by dvc.lock only.
    """
    changed = {*git.changed(root)}
    if changed - _MOVES or (moved and _LOCK in changed):
        return True
    if _WORLD in changed and _champion(root) != _champion(root, "HEAD"):
        return True
    return _LOCK in changed and _locked(root) != _locked(root, "HEAD")


def _champion(root: Path, commit: str | None = None) -> object:
    return yaml_loader.parse(Path(_WORLD), _text(root, _WORLD, commit).decode()).get("champion")


def _locked(root: Path, commit: str | None = None) -> object:
    """Read dvc.lock without what follows from `as_of` alone."""
    read = yaml.load(_text(root, _LOCK, commit), yaml.CSafeLoader) or {}
    stages = read.get("stages", {})
    for stage in stages.values():
        stage.get("params", {}).pop(_WORLD, None)
        for kind in ("deps", "outs"):
            stage[kind] = [one for one in stage.get(kind, ()) if one["path"] not in _FOLLOWS]
    return stages


def _text(root: Path, path: str, commit: str | None) -> bytes:
    if commit is not None:
        return git.read_file(root, commit, path)
    return (root / path).read_bytes() if (root / path).is_file() else b""


def message(root: Path, turned: Turned) -> str:
    """Write the commit's message, for a reviewer who sees no more than this."""
    subject = f"Move as_of to {turned.as_of}: {_in_a_word(turned)}"
    lines = [subject, "", f"From {turned.before}.", *_records(root), *_in_force(root)]
    reasons = [one for one in turned.answer.reasons if one.fires or not turned.trained]
    lines += ["", "Trained:" if turned.trained else "Not trained:"]
    lines += [f"- {one.name}: {one.says}" for one in reasons] or [f"- {BROKEN_OFF}"]
    if turned.trained and turned.verdict is not None:
        told = [r for r in turned.verdict["rules"] if r["outcome"] != "passed"]
        lines += ["", f"Verdict: {turned.verdict['answer']} {turned.verdict['model_id']}"]
        lines += [f"- {rule['outcome']}: {rule['says']}" for rule in told]
    if turned.unreleased:
        lines += ["", f"Not released: {turned.unreleased}"]
    return "\n".join(lines) + "\n"


def _in_a_word(turned: Turned) -> str:
    if not turned.trained or turned.verdict is None:
        return "not trained"
    words = {"promote": "not released", "reject": "rejected"}
    return words.get(turned.verdict["answer"], "undecided")


def _records(root: Path) -> Iterator[str]:
    """Say what became of the records, before and now."""
    try:
        now = RECORDS.format(**disk.read_json(root / _COUNTS))
        yield f"Records: {now}."
        told = git.read_file(root, "HEAD", _COUNTS)
        before = yaml_loader.parse(Path(_COUNTS), told.decode()) if told else {"in": 0}
        yield f"Before: {before['in']:,} in."
    except (CllError, KeyError):
        return


def _in_force(root: Path) -> Sequence[str]:
    now, before = str(_champion(root)), str(_champion(root, "HEAD"))
    if now == before:
        return []
    entries = ledger.read(root).committed
    names = [str(ledger_entries.find(entries, one) or one) for one in (now, before)]
    return [f"In force from this tick on: {names[0]}; before: {names[1]}."]
