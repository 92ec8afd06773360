"""What becomes of a tick: a release, a commit, or neither; on this branch or on one of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cll import chain, guard, history, ledger, news, progress, releasing, repair, sharing, store
from cll.errors import CllError, ConfigError
from cll.news import Turned
from cll.programs import dvc
from cll.release import Settings

BRANCH = "tick"


@contextmanager
def place(root: Path, settings: Settings) -> Iterator[None]:
    """Refuse where no commit could be made; with a branch of its own, leave the tree as it was.

    What an earlier tick was stopped at is finished, or put back, before.
    """
    _put_back(root)
    if settings.mode == "never":
        yield
        return
    history.ready(root)
    sharing.refuse_unready(root, push=settings.push, asked="release.push")
    if settings.mode == "auto":
        if says := releasing.finish(root):
            progress.say(f"tick: {says}")
        yield
        return
    if history.on(root) == BRANCH:
        raise ConfigError(f"HEAD is on {BRANCH}, which ticks write anew; `git switch` to another.")
    told = f"{history.head(root)} {history.tree(root)}"
    store.write_bytes(root / repair.BEFORE, told.encode())
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
    if head != history.head(root):
        left.unlink()
        progress.say("tick: what one that was broken off left behind stays, for HEAD moved since.")
        return
    history.put_back(root, tree)
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


def conclude(root: Path, settings: Settings, turned: Turned, *, moved: bool) -> Iterator[str]:
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
        entry, says = releasing.by_the_gate(root, next(firing, news.BROKEN_OFF), branch)
        yield says
    elif news.is_any(root, moved=moved):
        with guard.unbroken():
            commit = history.commit(root, news.message(root, turned), branch)
        yield f"Committed{f' on {branch}' if branch else ''}: {commit[:12]}."
        if turned.unreleased:
            yield f"Not released: {turned.unreleased}"
    else:
        yield "Nothing but as_of is new, so there is no commit."
        return
    if branch is not None:
        yield from sharing.branch(root, branch, entry, push=settings.push)


def _promoted(turned: Turned) -> bool:
    return turned.trained and turned.verdict is not None and turned.verdict["answer"] == "promote"


def _unreleased(root: Path, turned: Turned) -> str:
    """Say why a candidate that the gate promotes is not to be released; empty where it is."""
    if not _promoted(turned) or turned.verdict is None:
        return ""
    entries, candidate = ledger.read(root), str(turned.verdict["model_id"])
    if not entries:
        return "there is no ledger yet; begin it by `cll release --bootstrap`."
    if before := chain.find(entries, candidate):
        in_force = candidate == chain.in_force(entries)
        way = "and in force" if in_force else f"`cll rollback {before.version}` puts it in force"
        return f"{candidate} is {before.version} already, {way}."
    return ""


def share(root: Path, settings: Settings) -> Iterator[str]:
    """Push what was committed on this branch and is not elsewhere yet."""
    if settings.mode == "auto":
        yield from sharing.latest(root, push=settings.push)
