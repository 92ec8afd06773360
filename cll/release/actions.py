"""Releases and rollbacks: store the model, append an entry to the ledger, commit both.

An entry counts only once it is committed, so an interruption between these steps releases nothing
by halves. The next command commits an entry that an interrupted command left behind.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cll.config.project import load_tree, load_world
from cll.model import artifact, ledger_entries
from cll.model.artifact import Predictor
from cll.model.ledger_entries import Bump, LedgerEntry, VerdictRecord
from cll.pipeline import stages
from cll.release import ledger, models, policy, smoke_test
from cll.release.ledger import Ledger
from cll.system import disk, processes
from cll.system.workspace import Workspace
from cll.types.errors import ConfigError, SecurityRefusal, Unavailable
from cll.types.times import format_instant
from cll.vcs import git, repair, staleness

_FINISHED = "committed now; an earlier command was interrupted before its commit."


def new(root: Path, *, why: str | None, bump: Bump, bootstrap: bool) -> tuple[LedgerEntry, str]:
    """Release the candidate; return its entry, and a sentence on the result."""
    with repair.only_one(root):
        git.refuse_unready(root)
        releases = ledger.begun(root, bootstrap=bootstrap)
        if finished := _finish(root, releases):
            if finished.kind == "release":
                return finished, f"{finished}: {_FINISHED}"
            releases = ledger.read(root)
        return _release(root, releases, _sentence(why or policy.BY_THE_GATE), bump)


def finish(root: Path) -> str | None:
    """Commit the entry of an interrupted command, and return a sentence on it; None if there is none.

    The caller holds the project's lock.
    """
    finished = _finish(root, ledger.read(root))
    return f"{finished}: {_FINISHED}" if finished else None


def by_the_gate(root: Path, why: str, branch: str | None = None) -> tuple[LedgerEntry, str]:
    """Release the candidate, on this branch or on another; the caller holds the project's lock."""
    releases = ledger.begun(root, bootstrap=False)
    return _release(root, releases, _sentence(f"{why} {policy.BY_THE_GATE}"), "minor", branch)


def back(root: Path, version: str | None, *, why: str) -> tuple[LedgerEntry, str]:
    """Make an earlier version the champion again; return the new entry, and a sentence on it."""
    with repair.only_one(root):
        git.refuse_unready(root)
        releases = ledger.begun(root, bootstrap=False)
        if (finished := _finish(root, releases)) and finished.kind == "rollback":
            return finished, f"{finished}: {_FINISHED}"
        releases = ledger.read(root) if finished else releases
        entries = releases.entries
        target = (
            ledger_entries.released(entries, version)
            if version
            else ledger_entries.previous_release(entries)
        )
        if target.model_id == ledger_entries.in_force(entries):
            return target, f"{target} is the champion already."
        _fetch(root, target)
        models.intact(root, target)
        _check_scores(root, target)
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
        return same, f"{same} is the champion already; nothing to release."
    sums, scores_digest = _store(ws, predictor)
    entry = LedgerEntry(
        kind="release",
        version=ledger_entries.next_version(entries, bump),
        model_id=predictor.model_id,
        sums=sums,
        known=scores_digest,
        verdict=VerdictRecord("promote", disk.sha256(ws.reports / "verdict.json")),
        champion_before=ledger_entries.in_force(entries) if entries else world.champion,
        why=why,
        before=ledger_entries.tip(entries),
        **_now(root),
    )
    return entry, _commit(root, releases, entry, branch)


def _store(ws: Workspace, predictor: Predictor) -> tuple[str, str]:
    """Copy the candidate to registry/models and smoke-test it there.

    Return the digests of its SHA256SUMS and of its sample rows with their scores.
    """
    files = models.files_of(ws.candidate)
    sample = smoke_test.known_scores(ws, predictor)
    folder = models.place(ws.root, files, predictor.model_id)
    path = models.known_scores_path(ws.root, predictor.model_id)
    disk.write_bytes(path, sample)
    smoke_test.check(ws, folder, path)
    models.track(ws.root, predictor.model_id)
    sums = hashlib.sha256(files[artifact.SUMS]).hexdigest()
    return sums, hashlib.sha256(sample).hexdigest()


def _verdict(ws: Workspace) -> dict[str, Any]:
    """Read the verdict; raise if it is out of date or not the one that the gate gives."""
    verdict = dict(staleness.read_verdict(ws))
    if why := staleness.stale(ws):
        raise why
    again = stages.judge(ws, load_tree(ws), load_world(ws))
    if verdict != again:
        raise SecurityRefusal(
            f"{ws.reports / 'verdict.json'}: not the gate's verdict on metrics.json; run"
            " `dvc repro --force gate`."
        )
    return verdict


def _sentence(why: str) -> str:
    sentence = " ".join(why.split())
    if not sentence:
        raise ConfigError("--why: write a sentence; the ledger keeps it for good.")
    return sentence


def _now(root: Path) -> dict[str, Any]:
    return {
        "revision": git.head(root),
        "as_of": format_instant(load_world(Workspace(root)).as_of),
        "instant": format_instant(datetime.now(UTC).replace(microsecond=0)),
    }


def _fetch(root: Path, entry: LedgerEntry) -> None:
    """Check the model out of DVC's cache, if the workspace lacks it."""
    if not models.folder(root, entry.model_id).is_dir():
        note = models.tracked(root, entry.model_id).relative_to(root)
        try:
            models.checkout(root, entry.model_id)
        except Unavailable:
            raise Unavailable(f"{entry}: its files are not here; `dvc pull {note}`.") from None


def _check_scores(root: Path, entry: LedgerEntry) -> None:
    folder, sample = (
        models.folder(root, entry.model_id),
        models.known_scores_path(root, entry.model_id),
    )
    smoke_test.check(Workspace(root), folder, sample)


def _commit(root: Path, releases: Ledger, entry: LedgerEntry, branch: str | None = None) -> str:
    """Append the entry, and commit it with the model and the results."""
    with processes.unbroken():
        ledger.append(root, releases, entry)
        return _committed(root, releases.entries, entry, branch)


def _committed(
    root: Path, entries: Sequence[LedgerEntry], entry: LedgerEntry, branch: str | None = None
) -> str:
    ws = Workspace(root)
    verdict = staleness.read_verdict(ws) if entry.kind == "release" else None
    commit = git.commit(root, policy.message(entry, entries, verdict), branch)
    what = "released" if entry.kind == "release" else "the champion again"
    when = f"once {branch} is merged" if branch else "from the next tick on"
    return f"{entry} is {what} {when}: commit {commit[:12]}."


def _finish(root: Path, releases: Ledger) -> LedgerEntry | None:
    """Commit the entry that an interrupted command appended, after checking it; None if there is none."""
    pending, before = releases.pending, releases.committed
    if not pending:
        return None
    entry = pending[-1]
    way = f"undo it: `git checkout HEAD -- {ledger_entries.PATH}`"
    if not before:
        way = f"undo it: `rm {ledger_entries.PATH}`"
    if len(pending) > 1 or entry.revision != git.head(root):
        raise SecurityRefusal(
            f"{ledger_entries.PATH}: {entry} was not appended by `cll` here; {way}."
        )
    models.intact(root, entry)
    if entry.kind == "release":
        ws = Workspace(root)
        if disk.sha256(ws.reports / "verdict.json") != entry.verdict.sha256:
            raise SecurityRefusal(
                f"{ledger_entries.PATH}: {entry} is not based on reports/verdict.json; {way}."
            )
        policy.refuse_unfit(_verdict(ws), entry.model_id, before, load_world(ws).champion)
    _committed(root, before, entry)
    return entry
