"""What git knows of the project: what was committed, what is not yet, and the commits themselves."""

import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cll.types.errors import ConfigError, Unavailable
from cll.vcs.commands import git, git_bytes, git_knows

# What a tick or a release makes and commits; beside these the tree has to be clean.
OWNED = ("world.yaml", "dvc.lock", "resolved.yaml", "metrics.json", "reports", "registry")
OWNED_SUFFIX = ".dvc"
_UNDER_WAY = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


def there(root: Path) -> bool:
    """Tell whether the project lies in a git repository that has a commit."""
    return git_knows(root, "rev-parse", "--verify", "-q", "HEAD^{commit}")


def head(root: Path) -> str:
    """Return the commit that the tree is at."""
    return git(root, "rev-parse", "HEAD")


def is_shallow(root: Path) -> bool:
    return git(root, "rev-parse", "--is-shallow-repository") == "true"


def refuse_shallow(root: Path) -> None:
    """Refuse a clone whose history was cut off: what was released can't be told from it."""
    if is_shallow(root):
        raise Unavailable(
            "This clone is shallow, so what was released before can't be checked; run"
            " `git fetch --unshallow`."
        )


def ready(root: Path) -> None:
    """Refuse where a commit could not be made, or would hold what no one released."""
    if not there(root):
        raise ConfigError("No git repository with a commit is here; `git init`, and commit.")
    refuse_shallow(root)
    for name, what in _UNDER_WAY.items():
        if (root / git(root, "rev-parse", "--git-path", name)).exists():
            raise ConfigError(f"A {what} is under way; end it (`git {what} --continue`) first.")
    if not git_knows(root, "symbolic-ref", "-q", "HEAD"):
        raise ConfigError("HEAD is on no branch, so that the commit would be lost; `git switch`.")
    if not git_knows(root, "var", "GIT_COMMITTER_IDENT"):
        raise ConfigError("git knows no author: `git config user.name`, `git config user.email`.")
    if foreign := next(_foreign(root), None):
        raise ConfigError(
            f"{foreign}: not committed, and no part of a release; commit or ignore it first."
        )


def _foreign(root: Path) -> Iterator[str]:
    """Yield what differs from the commit, or is new, beside what a tick owns."""
    prefix = git(root, "rev-parse", "--show-prefix")
    told = git_bytes(root, "status", "--porcelain", "-z", "--untracked-files=all", "--", ".")
    parts = iter(told.decode(errors="replace").split("\0"))
    for part in parts:
        names = [part[3:]] if part else []
        if part[:1] in {"R", "C"}:  # the old name follows
            names.append(next(parts, ""))
        yield from (n.removeprefix(prefix) for n in names if not owned(n.removeprefix(prefix)))


def owned(name: str) -> bool:
    """Tell whether a tick or a release commits this file.

    >>> owned("reports/verdict.json"), owned("data/raw.dvc"), owned("params.yaml")
    (True, True, False)
    """
    return name.split("/", maxsplit=1)[0] in OWNED or name.endswith(OWNED_SUFFIX)


def commit(root: Path, message: str, branch: str | None = None) -> str:
    """Commit what a tick owns; return the commit.

    With `branch`, that is made to hold HEAD and this commit, and HEAD and the index stay.
    """
    if branch is None:
        git(root, "add", "--all", "--", *_mine(root))
        git_bytes(root, "commit", "--quiet", "--file=-", given=message.encode())
        return head(root)
    told = ["commit-tree", "-p", "HEAD", "-F", "-", tree(root)]
    made = git_bytes(root, *told, given=message.encode()).decode().strip()
    git(root, "update-ref", f"refs/heads/{branch}", made)
    return made


def tree(root: Path) -> str:
    """Write HEAD's tree with what a tick owns as it lies there now into git; return its id."""
    with tempfile.TemporaryDirectory(dir=root / ".cll") as scratch:
        index = Path(scratch).resolve() / "index"
        git(root, "read-tree", "HEAD", index=index)
        git(root, "add", "--all", "--", *_mine(root), index=index)
        return git(root, "write-tree", index=index)


def put_back(root: Path, told: str) -> None:
    """Make what a tick owns again what a tree of `tree` has."""
    kept = {*_listed(root, "ls-tree", "-r", "-z", "--name-only", told)}
    there = _listed(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in there:
        if owned(name) and name not in kept:
            (root / name).unlink(missing_ok=True)
    names = [name for name in sorted(kept) if owned(name)]
    git(root, "restore", f"--source={told}", "--worktree", "--", *names)


def changed(root: Path) -> list[str]:
    """List what a tick owns and is not as HEAD has it."""
    told = [*_listed(root, "diff", "--name-only", "-z", "--relative", "HEAD")]
    told += _listed(root, "ls-files", "-z", "--others", "--exclude-standard")
    return sorted(name for name in {*told} if owned(name))


def on(root: Path) -> str:
    """Return the branch that HEAD is on; empty where on none."""
    asked = ("symbolic-ref", "-q", "--short", "HEAD")
    return git(root, *asked) if git_knows(root, *asked) else ""


def _mine(root: Path) -> list[str]:
    there = [name for name in OWNED if (root / name).exists()]
    notes = f":(glob)**/*{OWNED_SUFFIX}"
    listed = _listed(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", notes)
    return [*there, *([notes] if listed else [])]


def _listed(root: Path, *words: str) -> list[str]:
    return [name for name in git_bytes(root, *words).decode().split("\0") if name]


def versions(root: Path, path: str) -> list[tuple[str, str]]:
    """Return each commit of HEAD's history that changed a file, oldest first, with its text.

    A side that a merge took nothing from is not looked into; where the file was gone, the text is
    empty.
    """
    commits = git(root, "log", "--reverse", "--topo-order", "--format=%H", "--", path).split()
    texts = at_each(root, [(commit, path) for commit in commits])
    return [(c, text.decode(errors="replace")) for c, text in zip(commits, texts, strict=True)]


def at_each(root: Path, places: Sequence[tuple[str, str]]) -> list[bytes]:
    """Return files as commits have them, by (commit, path), in one process; empty where it has none."""
    if not places:
        return []
    asked = "".join(f"{commit}:./{path}\n" for commit, path in places)
    answer = io.BytesIO(git_bytes(root, "cat-file", "--batch", given=asked.encode()))
    contents = []
    for _ in places:
        head = answer.readline().rstrip(b"\n")
        if head.endswith(b" missing"):
            contents.append(b"")
            continue
        contents.append(answer.read(int(head.rpartition(b" ")[2])))
        answer.readline()
    return contents


def history(root: Path) -> set[str]:
    """Return HEAD and all commits before it."""
    return set(git(root, "rev-list", "HEAD").split())


def at(root: Path, commit: str, path: str) -> bytes:
    """Return a file as a commit has it; empty where it has none."""
    if not git_knows(root, "cat-file", "-e", f"{commit}:./{path}"):
        return b""
    return git_bytes(root, "cat-file", "blob", f"{commit}:./{path}")


def ever_had(root: Path, path: str) -> bool:
    """Tell whether any commit of any branch or tag has, or had, a file."""
    return bool(git(root, "log", "--all", "-1", "--format=%H", "--", path))
