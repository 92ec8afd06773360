"""Publication of releases: push models to DVC's remote first, then commits to git's upstream."""

from collections.abc import Iterator
from pathlib import Path

from cll.model import ledger_entries
from cll.model.ledger_entries import LedgerEntry
from cll.release import ledger, mirror, remote
from cll.system import disk, progress
from cll.types.errors import CllError, ConfigError, Unavailable
from cll.vcs import git as vcs_git
from cll.vcs.commands import git, git_knows

_PUSHED = Path(".cll") / "pushed"  # the commit that was pushed last


def refuse_unready(root: Path, *, push: bool, option: str = "--push") -> None:
    """Raise ConfigError before a push if the branch has no upstream."""
    if push and not git_knows(root, "rev-parse", "-q", "--verify", "@{upstream}"):
        raise ConfigError(
            f"{option}: this branch has no upstream; `git push --set-upstream REMOTE BRANCH`."
        )


def share(root: Path, entry: LedgerEntry, *, push: bool) -> Iterator[str]:
    """Push a release, and yield a line for each place; if the push fails, the release stays valid.

    Models go first, so that nobody pulls a commit whose model is not available yet.
    """
    yield from _mirrored(root)
    yield from _stored(root, entry, str(entry), push=push)
    if push:
        _git_push(root, str(entry))
        yield f"{entry} is in {git(root, 'rev-parse', '--abbrev-ref', '@{upstream}')}."


def latest(root: Path, *, push: bool) -> Iterator[str]:
    """Push HEAD and the champion, unless this clone has pushed HEAD before.

    The first push includes all released models: a remote that was set up after them lacks them, and
    `dvc pull` on another machine would fail.
    """
    record, commit = root / _PUSHED, vcs_git.head(root)
    before = record.read_text(encoding="utf-8") if record.is_file() else None
    if before == commit:
        return
    entries, what = ledger.read(root).committed, f"Commit {commit[:12]}"
    if entries:
        yield from _mirrored(root)
    last = entries[-1] if entries else None
    yield from _stored(root, last, what, push=push, all_models=before is None)
    if push:
        _git_push(root, what)
        yield f"{what} is in {git(root, 'rev-parse', '--abbrev-ref', '@{upstream}')}."
    disk.write_bytes(record, commit.encode())


def branch(root: Path, name: str, entry: LedgerEntry | None, *, push: bool) -> Iterator[str]:
    """Push a branch by force, since each tick rewrites it, and push its model before."""
    yield from _stored(root, entry, f"Branch {name}", push=push)
    if push:
        where = git(root, "rev-parse", "--abbrev-ref", "@{upstream}").partition("/")[0]
        git(root, "push", "--quiet", "--force", where, f"{name}:{name}")
        yield f"Branch {name} is in {where}."


def _stored(
    root: Path, entry: LedgerEntry | None, what: str, *, push: bool, all_models: bool = False
) -> Iterator[str]:
    try:
        if where := remote.push(root, entry, all_models=all_models):
            yield f"{what} is in {where}."
        elif push:
            yield "No DVC remote is set, so only this machine has the model; `cll doctor --remote URL`."
    except Unavailable as error:
        way = "Then `cll registry push`." if entry else "The next tick tries again."
        raise Unavailable(f"{what} is committed here but not pushed: {error} {way}") from None


def _mirrored(root: Path) -> list[str]:
    """Synchronize the mirror; a failure is printed and does not affect the release."""
    try:
        return mirror.sync(root)
    except CllError as error:
        progress.say(f"mirror: {error}")
        return []


def in_force(root: Path) -> Iterator[str]:
    """Push the champion, all outputs of the stages, and the branch."""
    entries = ledger.read(root).committed
    if not entries:
        raise ConfigError(
            f"{ledger_entries.PATH}: nothing was released yet, so there is nothing to push."
        )
    refuse_unready(root, push=True)
    yield from share(root, entries[-1], push=True)


def _git_push(root: Path, what: str) -> None:
    try:
        git(root, "push", "--quiet", "--follow-tags")  # GTO's tags name these commits
    except Unavailable as error:
        raise Unavailable(
            f"{what} is committed here but not pushed: {error} If another clone released meanwhile, undo"
            " yours (`git reset --hard @{upstream}`), `dvc repro`, and release again."
        ) from None
