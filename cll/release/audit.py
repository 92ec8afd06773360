"""Proof that the ledger is what was appended, and that the models are what was released."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from cll.config.project import load_world
from cll.model import ledger_entries
from cll.model.ledger_entries import LedgerEntry
from cll.release import ledger, models
from cll.system.workspace import Workspace
from cll.types.errors import ConfigError, SecurityRefusal, Unavailable
from cll.vcs import git

VERDICT = "reports/verdict.json"


def verify(root: Path) -> Iterator[str]:
    """Yield a line for each thing that holds; raise at the first that does not.

    Models that are neither here nor in DVC's cache are named at the end, with the way to get them.
    """
    if not git.there(root):
        raise ConfigError("No git repository with a commit is here, so nothing can be proved.")
    git.refuse_shallow(root)
    now = ledger.read(root)
    entries = now.entries
    if not entries:
        yield f"{ledger_entries.PATH}: not there, and git never had one: nothing was released."
        _refuse_unregistered(root, entries)
        return
    yield f"chain: {len(entries)} entries, each names the one before it; so has every commit of it."
    history = git.history(root)
    verdicts = git.at_each(root, [(commit, VERDICT) for commit in now.commits])
    missing = []
    for number, entry in enumerate(entries):
        _refuse_foreign(entry, history)
        if number >= len(now.commits):
            raise ConfigError(
                f"{ledger_entries.PATH}: {entry} is not committed yet; `cll {entry.kind}` goes on"
                " with it."
            )
        _commit_holds(entry, now.commits[number], verdicts[number])
        try:
            yield f"{entry.kind} {entry}: {models.intact(root, entry)} has it; verdict and commit hold."
        except Unavailable as error:
            missing.append(str(error))
    _refuse_unregistered(root, entries)
    if missing:
        raise Unavailable(missing[0])
    yield f"in force: {ledger_entries.released(entries, ledger_entries.in_force(entries))}."


def _refuse_foreign(entry: LedgerEntry, history: Collection[str]) -> None:
    if entry.revision not in history:
        raise SecurityRefusal(
            f"{ledger_entries.PATH}: {entry}: commit {entry.revision[:12]}, which it was made at, is not in"
            " this branch's history; fetch it, or restore the ledger."
        )


def _commit_holds(entry: LedgerEntry, commit: str, verdict: bytes) -> None:
    if entry.kind == "release" and hashlib.sha256(verdict).hexdigest() != entry.verdict.sha256:
        raise SecurityRefusal(
            f"{VERDICT}: in commit {commit[:12]} not the one that {entry} was released by."
        )


def _refuse_unregistered(root: Path, entries: Sequence[LedgerEntry]) -> None:
    for name in models.unregistered(root, tuple(entries)):
        raise SecurityRefusal(
            f"{name}: no entry of the ledger names it; remove it, or go on with `cll release`."
        )
    champion = load_world(Workspace(root)).champion
    if champion != ledger_entries.NONE and ledger_entries.find(entries, champion) is None:
        raise SecurityRefusal(
            f"world.yaml: champion={champion} was never released; `cll release` says what may be."
        )
