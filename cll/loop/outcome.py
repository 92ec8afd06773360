"""What becomes of a tick: a release, a commit, or neither; on this branch or on one of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cll.loop import changes
from cll.loop.changes import Turned
from cll.model import ledger_entries
from cll.release import actions, ledger, publish
from cll.release.policy import ReleaseSettings
from cll.system import disk, processes, progress
from cll.types.errors import CllError, ConfigError
from cll.vcs import git, repair
from cll.vcs.commands import dvc

BRANCH = "tick"


@contextmanager
def place(root: Path, settings: ReleaseSettings) -> Iterator[None]:
    """Refuse where no commit could be made; with a branch of its own, leave the tree as it was.

    What an earlier tick was stopped at is finished, or put back, before.
    """
    _put_back(root)
    if settings.mode == "never":
        yield
        return
    git.refuse_unready(root)
    publish.refuse_unready(root, push=settings.push, option="release.push")
    if settings.mode == "auto":
        if says := actions.finish(root):
            progress.say(f"tick: {says}")
        yield
        return
    if git.current_branch(root) == BRANCH:
        raise ConfigError(f"HEAD is on {BRANCH}, which ticks write anew; `git switch` to another.")
    told = f"{git.head(root)} {git.tree(root)}"
    disk.write_bytes(root / repair.BEFORE, told.encode())
    try:
        yield
    finally:
        _put_back(root)


def _put_back(root: Path) -> None:
    """Make the tree what it was before a tick on a branch of its own, if one was on its way."""
    left = root / repair.BEFORE
    if not left.is_file():
        return
    head, tree = left.read_text(encoding="utf-8").split()
    if head != git.head(root):
        left.unlink()
        progress.say("tick: what one that was broken off left behind stays, for HEAD moved since.")
        return
    git.restore_owned(root, tree)
    try:
        dvc(root, "checkout", "--quiet", "--force")
    except CllError as error:
        progress.say(f"tick: data and model are not as they were: {error}")
    else:
        training(root).unlink(missing_ok=True)
    left.unlink()


def training(root: Path) -> Path:
    """Return the file that is there while a training is on its way, up to its commit."""
    return root / ".cll" / "training"


def conclude(
    root: Path, settings: ReleaseSettings, turned: Turned, *, moved: bool
) -> Iterator[str]:
    """Release what the gate promotes, or else commit what is new; yield a line on what was done.

    `moved`: days of data changed in this tick.
    """
    if settings.mode == "never":
        return
    branch = BRANCH if settings.mode == "branch" else None
    entry = None
    turned = replace(turned, unreleased=_unreleased(root, turned))
    if _promoted(turned) and not turned.unreleased:
        firing = (one.says for one in turned.answer.reasons if one.fires)
        entry, says = actions.by_the_gate(root, next(firing, changes.BROKEN_OFF), branch)
        yield says
    elif changes.is_any(root, moved=moved):
        with processes.unbroken():
            commit = git.commit(root, changes.message(root, turned), branch)
        yield f"Committed{f' on {branch}' if branch else ''}: {commit[:12]}."
        if turned.unreleased:
            yield f"Not released: {turned.unreleased}"
    else:
        yield "Nothing but as_of is new, so there is no commit."
        return
    if branch is not None:
        yield from publish.branch(root, branch, entry, push=settings.push)


def _promoted(turned: Turned) -> bool:
    return turned.trained and turned.verdict is not None and turned.verdict["answer"] == "promote"


def _unreleased(root: Path, turned: Turned) -> str:
    """Say why a candidate that the gate promotes is not to be released; empty where it is."""
    if not _promoted(turned) or turned.verdict is None:
        return ""
    entries, candidate = ledger.read(root).entries, str(turned.verdict["model_id"])
    if not entries:
        return "there is no ledger yet; begin it by `cll release --bootstrap`."
    if before := ledger_entries.find(entries, candidate):
        in_force = candidate == ledger_entries.in_force(entries)
        way = "and in force" if in_force else f"`cll rollback {before.version}` puts it in force"
        return f"{candidate} is {before.version} already, {way}."
    return ""


def share(root: Path, settings: ReleaseSettings) -> Iterator[str]:
    """Push what was committed on this branch and is not elsewhere yet."""
    if settings.mode == "auto":
        yield from publish.latest(root, push=settings.push)
