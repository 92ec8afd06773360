"""Releases and rollbacks: the model laid down, an entry appended, and the commit that holds both.

In that order, so that what breaks off between leaves nothing half in force: an entry counts once
it is committed, and the next command commits one that was left behind.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cll.config.project import load_tree, load_world
from cll.model import artifact, ledger_entries
from cll.model.ledger_entries import Bump, LedgerEntry, VerdictRecord
from cll.pipeline import stages
from cll.release import ledger, models, policy, smoke_test
from cll.release.ledger import Ledger
from cll.system import disk, processes
from cll.system.workspace import Workspace
from cll.types.errors import ConfigError, SecurityRefusal, Unavailable
from cll.types.times import format_instant
from cll.vcs import git, repair, staleness

_FINISHED = "committed now; it had been broken off."


def new(root: Path, *, why: str | None, bump: Bump, bootstrap: bool) -> tuple[LedgerEntry, str]:
    """Release the candidate; return its entry, and a sentence on what was done."""
    with repair.only_one(root):
        git.ready(root)
        releases = ledger.begun(root, bootstrap=bootstrap)
        if finished := _finish(root, releases):
            if finished.kind == "release":
                return finished, f"{finished}: {_FINISHED}"
            releases = ledger.read(root)
        return _release(root, releases, _sentence(why or policy.BY_THE_GATE), bump)


def finish(root: Path) -> str | None:
    """Commit what was broken off before its commit, within a lock; say so, if there was any."""
    finished = _finish(root, ledger.read(root))
    return f"{finished}: {_FINISHED}" if finished else None


def by_the_gate(root: Path, why: str, branch: str | None = None) -> tuple[LedgerEntry, str]:
    """Release the candidate within a lock, on this branch or, the tree as it is, on another."""
    releases = ledger.begun(root, bootstrap=False)
    return _release(root, releases, _sentence(f"{why} {policy.BY_THE_GATE}"), "minor", branch)


def back(root: Path, version: str | None, *, why: str) -> tuple[LedgerEntry, str]:
    """Put an earlier version in force again; return the entry, and a sentence on it."""
    with repair.only_one(root):
        git.ready(root)
        releases = ledger.begun(root, bootstrap=False)
        if (finished := _finish(root, releases)) and finished.kind == "rollback":
            return finished, f"{finished}: committed now; it had been broken off."
        releases = ledger.read(root) if finished else releases
        entries = releases.entries
        target = (
            ledger_entries.released(entries, version)
            if version
            else ledger_entries.previous_release(entries)
        )
        if target.model_id == ledger_entries.in_force(entries):
            return target, f"{target} is in force already."
        _fetch(root, target)
        models.intact(root, target)
        _ask(root, target)
        entry = replace(
            target,
            kind="rollback",
            champion_before=ledger_entries.in_force(entries),
            before=ledger_entries.tip(entries),
            why=_sentence(why),
            **_now(root),
        )
        return entry, _commit(root, releases, entry)


def _release(
    root: Path, releases: Ledger, why: str, bump: Bump, branch: str | None = None
) -> tuple[LedgerEntry, str]:
    ws, entries = Workspace(root), releases.entries
    world = load_world(ws)
    verdict = _verdict(ws)
    predictor = artifact.load(ws.candidate)
    policy.refuse_unfit(verdict, predictor.model_id, entries, world.champion)
    if predictor.model_id == ledger_entries.in_force(entries):
        same = ledger_entries.released(entries, predictor.model_id)
        return same, f"{same} is in force already; nothing to release."
    files = models.files_of(ws.candidate)
    told = smoke_test.known(ws, predictor)
    folder = models.place(root, files, predictor.model_id)
    disk.write_bytes(models.known(root, predictor.model_id), told)
    smoke_test.check(ws, folder, models.known(root, predictor.model_id))
    models.track(root, predictor.model_id)
    entry = LedgerEntry(
        kind="release",
        version=ledger_entries.next_version(entries, bump),
        model_id=predictor.model_id,
        sums=hashlib.sha256(files[artifact.SUMS]).hexdigest(),
        known=hashlib.sha256(told).hexdigest(),
        verdict=VerdictRecord("promote", disk.sha256(ws.reports / "verdict.json")),
        champion_before=ledger_entries.in_force(entries) if entries else world.champion,
        why=why,
        before=ledger_entries.tip(entries),
        **_now(root),
    )
    return entry, _commit(root, releases, entry, branch)


def _verdict(ws: Workspace) -> dict[str, Any]:
    """Read the verdict, if it is the one that the gate gives on what is there now."""
    found = dict(staleness.read_verdict(ws))
    if why := staleness.stale(ws):
        raise why
    again = stages.judge(ws, load_tree(ws), load_world(ws))
    if found != again:
        raise SecurityRefusal(
            f"{ws.reports / 'verdict.json'}: not what the gate says of metrics.json; run"
            " `dvc repro --force gate`."
        )
    return found


def _sentence(why: str) -> str:
    told = " ".join(why.split())
    if not told:
        raise ConfigError("--why: say in a sentence why; it stands in the ledger for good.")
    return told


def _now(root: Path) -> dict[str, Any]:
    return {
        "revision": git.head(root),
        "as_of": format_instant(load_world(Workspace(root)).as_of),
        "instant": format_instant(datetime.now(UTC).replace(microsecond=0)),
    }


def _fetch(root: Path, entry: LedgerEntry) -> None:
    """Take the model out of DVC's cache, or say how to get it there."""
    if not models.folder(root, entry.model_id).is_dir():
        note = models.tracked(root, entry.model_id).relative_to(root)
        try:
            models.checkout(root, entry.model_id)
        except Unavailable:
            raise Unavailable(f"{entry}: its files are not here; `dvc pull {note}`.") from None


def _ask(root: Path, entry: LedgerEntry) -> None:
    folder, told = models.folder(root, entry.model_id), models.known(root, entry.model_id)
    smoke_test.check(Workspace(root), folder, told)


def _commit(root: Path, releases: Ledger, entry: LedgerEntry, branch: str | None = None) -> str:
    """Append the entry, and commit it with all that belongs to it."""
    with processes.unbroken():
        ledger.append(root, releases, entry)
        return _committed(root, releases.entries, entry, branch)


def _committed(
    root: Path, entries: Sequence[LedgerEntry], entry: LedgerEntry, branch: str | None = None
) -> str:
    ws = Workspace(root)
    verdict = staleness.read_verdict(ws) if entry.kind == "release" else None
    commit = git.commit(root, policy.message(entry, entries, verdict), branch)
    what = "released" if entry.kind == "release" else "in force again"
    when = f"once {branch} is merged" if branch else "from the next tick on"
    return f"{entry} is {what} {when}: commit {commit[:12]}."


def _finish(root: Path, releases: Ledger) -> LedgerEntry | None:
    """Commit an entry that an earlier command appended before it was stopped."""
    left, before = releases.pending, releases.committed
    if not left:
        return None
    entry = left[-1]
    way = f"take it back: `git checkout HEAD -- {ledger_entries.PATH}`"
    if not before:
        way = f"take it back: `rm {ledger_entries.PATH}`"
    if len(left) > 1 or entry.revision != git.head(root):
        raise SecurityRefusal(
            f"{ledger_entries.PATH}: {entry} was not appended by `cll` here; {way}."
        )
    models.intact(root, entry)
    if entry.kind == "release":
        ws = Workspace(root)
        if disk.sha256(ws.reports / "verdict.json") != entry.verdict.sha256:
            raise SecurityRefusal(
                f"{ledger_entries.PATH}: {entry} is not what the verdict is on; {way}."
            )
        policy.refuse_unfit(_verdict(ws), entry.model_id, before, load_world(ws).champion)
    _committed(root, before, entry)
    return entry
