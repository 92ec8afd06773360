"""A release brought where others find it: to DVC's remote first, then to git's upstream."""

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


def refuse_unready(root: Path, *, push: bool, asked: str = "--push") -> None:
    """Refuse, before anything is done, to push where git does not know to where."""
    if push and not git_knows(root, "rev-parse", "-q", "--verify", "@{upstream}"):
        raise ConfigError(
            f"{asked}: this branch has no upstream; `git push --set-upstream REMOTE BRANCH`."
        )


def share(root: Path, entry: LedgerEntry, *, push: bool) -> Iterator[str]:
    """Push what was released; yield a line for each place. The release stands in any case.

    Models go first, so that no one sees a commit whose model is not to be had.
    """
    yield from _mirrored(root)
    yield from _stored(root, entry, str(entry), push=push)
    if push:
        _git_push(root, str(entry))
        yield f"{entry} is in {git(root, 'rev-parse', '--abbrev-ref', '@{upstream}')}."


def latest(root: Path, *, push: bool) -> Iterator[str]:
    """Push what HEAD has and the model in force, unless this clone did so before.

    The first time all models that were released are pushed: what is set up later than they were
    lacks them, and `dvc pull` on another machine would fail.
    """
    noted, commit = root / _PUSHED, vcs_git.head(root)
    before = noted.read_text(encoding="utf-8") if noted.is_file() else None
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
    disk.write_bytes(noted, commit.encode())


def branch(root: Path, name: str, entry: LedgerEntry | None, *, push: bool) -> Iterator[str]:
    """Push a branch that is written anew each time, and what is there of it."""
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
            yield "No DVC remote is set, so the model is here only; `cll doctor --remote URL`."
    except Unavailable as error:
        way = "Then `cll registry push`." if entry else "The next tick tries again."
        raise Unavailable(f"{what} is committed here, and not pushed: {error} {way}") from None


def _mirrored(root: Path) -> list[str]:
    """Bring the mirror in line; that it fails is told, and takes nothing back."""
    try:
        return mirror.sync(root)
    except CllError as error:
        progress.say(f"mirror: {error}")
        return []


def in_force(root: Path) -> Iterator[str]:
    """Push what is in force, with all that the stages made, and the branch."""
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
            f"{what} is committed here, and not pushed: {error} If another released meanwhile, take"
            " yours back (`git reset --hard @{upstream}`), `dvc repro`, and release again."
        ) from None
