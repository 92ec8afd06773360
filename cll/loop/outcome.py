"""Conclude a tick: release the candidate, commit the changes, or do neither, as release.mode says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cll.loop import changes
from cll.loop.changes import TickEvents
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
    """Check that a commit can be made; with mode `branch`, restore the working tree afterwards.

    First, a release that an earlier tick did not finish is finished, and a working tree that it
    did not restore is restored.
    """
    _put_back(root)
    if settings.mode == "never":
        yield
        return
    git.refuse_unready(root)
    publish.refuse_unready(root, push=settings.push, option="release.push")
    if settings.mode == "auto":
        if message := actions.finish(root):
            progress.say(f"tick: {message}")
        yield
        return
    if git.current_branch(root) == BRANCH:
        raise ConfigError(f"HEAD is on {BRANCH}, which ticks overwrite; `git switch` to another.")
    before = f"{git.head(root)} {git.tree(root)}"
    disk.write_bytes(root / repair.BEFORE, before.encode())
    try:
        yield
    finally:
        _put_back(root)


def _put_back(root: Path) -> None:
    """Restore the working tree from before a tick with mode `branch`, if one was under way."""
    left = root / repair.BEFORE
    if not left.is_file():
        return
    head, tree = left.read_text(encoding="utf-8").split()
    if head != git.head(root):
        left.unlink()
        progress.say("tick: the files of an earlier, interrupted tick stay: HEAD moved since then.")
        return
    git.restore_owned(root, tree)
    try:
        dvc(root, "checkout", "--quiet", "--force")
    except CllError as error:
        progress.say(f"tick: data and model could not be restored: {error}")
    else:
        training(root).unlink(missing_ok=True)
    left.unlink()


def training(root: Path) -> Path:
    """Return the marker file that exists from the start of a training until its commit."""
    return root / ".cll" / "training"


def conclude(
    root: Path, settings: ReleaseSettings, events: TickEvents, *, data_changed: bool
) -> Iterator[str]:
    """Release a candidate that the gate promotes, or else commit the changes; yield report lines.

    `data_changed` says whether days of data changed in this tick.
    """
    if settings.mode == "never":
        return
    branch = BRANCH if settings.mode == "branch" else None
    entry = None
    events = replace(events, unreleased=_unreleased(root, events))
    if _promoted(events) and not events.unreleased:
        firing = (reason.says for reason in events.answer.reasons if reason.fires)
        entry, message = actions.by_the_gate(root, next(firing, changes.BROKEN_OFF), branch)
        yield message
    elif changes.need_commit(root, data_changed=data_changed):
        with processes.unbroken():
            commit = git.commit(root, changes.message(root, events), branch)
        yield f"Committed{f' on {branch}' if branch else ''}: {commit[:12]}."
        if events.unreleased:
            yield f"Not released: {events.unreleased}"
    else:
        yield "Nothing but as_of is new, so there is no commit."
        return
    if branch is not None:
        yield from publish.branch(root, branch, entry, push=settings.push)


def _promoted(events: TickEvents) -> bool:
    return events.trained and events.verdict is not None and events.verdict["answer"] == "promote"


def _unreleased(root: Path, events: TickEvents) -> str:
    """Return the reason why a candidate that the gate promotes is not released, or ""."""
    if not _promoted(events) or events.verdict is None:
        return ""
    entries, candidate = ledger.read(root).entries, str(events.verdict["model_id"])
    if not entries:
        return "there is no ledger yet; begin one with `cll release --bootstrap`."
    if before := ledger_entries.find(entries, candidate):
        in_force = candidate == ledger_entries.in_force(entries)
        way = "and in force" if in_force else f"`cll rollback {before.version}` puts it in force"
        return f"{candidate} is {before.version} already, {way}."
    return ""


def share(root: Path, settings: ReleaseSettings) -> Iterator[str]:
    """Push commits of this branch that the remote does not have yet."""
    if settings.mode == "auto":
        yield from publish.latest(root, push=settings.push)
