"""Audit of the ledger: its chain of entries, their commits, and the released models."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from cll.config.project import load_world
from cll.model import ledger_entries
from cll.model.ledger_entries import LedgerEntry
from cll.release import ledger, models
from cll.release.ledger import Ledger
from cll.system.workspace import Workspace
from cll.types.errors import ConfigError, SecurityRefusal, Unavailable
from cll.vcs import git

VERDICT = "reports/verdict.json"


def verify(root: Path) -> Iterator[str]:
    """Yield a line for each check that passes; raise at the first that fails.

    A model that is neither in the workspace nor in DVC's cache is reported at the end, with the
    command that fetches it.
    """
    if not git.has_commit(root):
        raise ConfigError("No git repository with a commit is here, so there is nothing to verify.")
    git.refuse_shallow(root)
    releases = ledger.read(root)
    entries = releases.entries
    if not entries:
        yield f"{ledger_entries.PATH}: missing, and git never had one: nothing was released."
        _refuse_unregistered(root, entries)
        return
    yield f"chain: {len(entries)} entries, each with the digest of the one before it, in every commit."
    missing: list[str] = []
    yield from _verify_entries(root, releases, missing)
    _refuse_unregistered(root, entries)
    if missing:
        raise Unavailable(missing[0])
    yield f"champion: {ledger_entries.released(entries, ledger_entries.in_force(entries))}."


def _verify_entries(root: Path, releases: Ledger, missing: list[str]) -> Iterator[str]:
    """Yield a line for each intact entry; append the messages on unavailable models to `missing`."""
    history, commits = git.history(root), releases.commits
    verdicts = git.read_files(root, [(commit, VERDICT) for commit in commits])
    for number, entry in enumerate(releases.entries):
        _refuse_foreign(entry, history)
        if number >= len(commits):
            raise ConfigError(
                f"{ledger_entries.PATH}: {entry} is not committed yet; `cll {entry.kind}`"
                " commits it."
            )
        _commit_holds(entry, commits[number], verdicts[number])
        try:
            place = models.intact(root, entry)
        except Unavailable as error:
            missing.append(str(error))
        else:
            yield f"{entry.kind} {entry}: its model is in {place}; verdict and commit are intact."


def _refuse_foreign(entry: LedgerEntry, history: Collection[str]) -> None:
    if entry.revision not in history:
        raise SecurityRefusal(
            f"{ledger_entries.PATH}: {entry}: commit {entry.revision[:12]}, on which it was made, is not in"
            " this branch's history; fetch it, or restore the ledger."
        )


def _commit_holds(entry: LedgerEntry, commit: str, verdict: bytes) -> None:
    if entry.kind == "release" and hashlib.sha256(verdict).hexdigest() != entry.verdict.sha256:
        raise SecurityRefusal(
            f"{VERDICT}: in commit {commit[:12]} not the verdict that {entry} was released with."
        )


def _refuse_unregistered(root: Path, entries: Sequence[LedgerEntry]) -> None:
    for name in models.unregistered(root, tuple(entries)):
        raise SecurityRefusal(
            f"{name}: no entry of the ledger names it; remove it, or finish its release with `cll release`."
        )
    champion = load_world(Workspace(root)).champion
    if champion != ledger_entries.NONE and ledger_entries.find(entries, champion) is None:
        raise SecurityRefusal(
            f"world.yaml: champion={champion} was never released; `cll release` releases the candidate."
        )
