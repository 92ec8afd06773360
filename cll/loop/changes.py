"""Detect what a tick changed apart from `as_of`, and write the commit message for it."""

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
# Both folders' manifests name `as_of`, so their digests change with it even if no record is new.
_NAMING_AS_OF = {"data/signals", "data/features"}
# Files that change at every tick; a change in them alone needs a closer look.
_ALWAYS_CHANGED = {_LOCK, _WORLD, f"reports/{trigger_report.NAME}"}


@dataclass(frozen=True)
class TickEvents:
    """Events of a tick that its commit message reports."""

    before: str  # as_of before the tick
    as_of: str
    answer: TriggerDecision
    trained: bool
    verdict: Mapping[str, Any] | None  # the gate's verdict on the current candidate
    unreleased: str = ""  # reason why a candidate that the gate promotes is not released


def data_digests(ws: Workspace) -> list[Mapping[str, Any]]:
    """Return the digests of all days of signals and of features."""
    return [SealedFolder(folder).files for folder in (ws.signals, ws.features)]


def data_differ(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether any day differs; False if there were no data before, as in a new clone."""
    return all(before) and before != after


def need_commit(root: Path, *, data_changed: bool) -> bool:
    """Return whether the tree differs from HEAD in more than `as_of` and what follows from it.

    `data_changed` says whether days of data changed in this tick. Git can't see that itself: the
    data are not in git, and dvc.lock changes with `as_of` as well.
    """
    changed = {*git.changed(root)}
    if changed - _ALWAYS_CHANGED or (data_changed and _LOCK in changed):
        return True
    if _WORLD in changed and _champion(root) != _champion(root, "HEAD"):
        return True
    return _LOCK in changed and _locked(root) != _locked(root, "HEAD")


def _champion(root: Path, commit: str | None = None) -> object:
    return yaml_loader.parse(Path(_WORLD), _text(root, _WORLD, commit).decode()).get("champion")


def _locked(root: Path, commit: str | None = None) -> object:
    """Read the stages of dvc.lock, without the entries that change with `as_of` alone."""
    content = yaml.load(_text(root, _LOCK, commit), yaml.CSafeLoader) or {}
    stages = content.get("stages", {})
    for stage in stages.values():
        stage.get("params", {}).pop(_WORLD, None)
        for kind in ("deps", "outs"):
            listed = stage.get(kind, ())
            stage[kind] = [entry for entry in listed if entry["path"] not in _NAMING_AS_OF]
    return stages


def _text(root: Path, path: str, commit: str | None) -> bytes:
    if commit is not None:
        return git.read_file(root, commit, path)
    return (root / path).read_bytes() if (root / path).is_file() else b""


def message(root: Path, events: TickEvents) -> str:
    """Return the commit message; a reviewer can judge the tick by it alone."""
    subject = f"Move as_of to {events.as_of}: {_outcome(events)}"
    lines = [subject, "", f"From {events.before}.", *_records(root), *_in_force(root)]
    reasons = [reason for reason in events.answer.reasons if reason.fires or not events.trained]
    lines += ["", "Trained:" if events.trained else "Not trained:"]
    lines += [f"- {reason.name}: {reason.says}" for reason in reasons] or [f"- {BROKEN_OFF}"]
    if events.trained and events.verdict is not None:
        rules = [rule for rule in events.verdict["rules"] if rule["outcome"] != "passed"]
        lines += ["", f"Verdict: {events.verdict['answer']} {events.verdict['model_id']}"]
        lines += [f"- {rule['outcome']}: {rule['says']}" for rule in rules]
    if events.unreleased:
        lines += ["", f"Not released: {events.unreleased}"]
    return "\n".join(lines) + "\n"


def _outcome(events: TickEvents) -> str:
    if not events.trained or events.verdict is None:
        return "not trained"
    words = {"promote": "not released", "reject": "rejected"}
    return words.get(events.verdict["answer"], "undecided")


def _records(root: Path) -> Iterator[str]:
    """Yield lines that count the records now and in HEAD."""
    try:
        now = RECORDS.format(**disk.read_json(root / _COUNTS))
        yield f"Records: {now}."
        committed = git.read_file(root, "HEAD", _COUNTS)
        before = yaml_loader.parse(Path(_COUNTS), committed.decode()) if committed else {"in": 0}
        yield f"Before: {before['in']:,} in."
    except (CllError, KeyError):
        return


def _in_force(root: Path) -> Sequence[str]:
    now, before = str(_champion(root)), str(_champion(root, "HEAD"))
    if now == before:
        return []
    entries = ledger.read(root).committed
    names = [str(ledger_entries.find(entries, model) or model) for model in (now, before)]
    return [f"Champion from this tick on: {names[0]}; before: {names[1]}."]
