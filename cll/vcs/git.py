"""Git operations on the project: its state, its history, and commits of the loop's own files."""

import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cll.types.errors import ConfigError, Unavailable
from cll.vcs.commands import git, git_bytes, git_knows

# Files that a tick or a release writes and commits; all others must have no uncommitted change.
OWNED = ("world.yaml", "dvc.lock", "resolved.yaml", "metrics.json", "reports", "registry")
OWNED_SUFFIX = ".dvc"
_UNDER_WAY = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


def has_commit(root: Path) -> bool:
    """Return whether the project is in a git repository with a commit."""
    return git_knows(root, "rev-parse", "--verify", "-q", "HEAD^{commit}")


def head(root: Path) -> str:
    """Return the id of the commit that is checked out."""
    return git(root, "rev-parse", "HEAD")


def is_shallow(root: Path) -> bool:
    return git(root, "rev-parse", "--is-shallow-repository") == "true"


def refuse_shallow(root: Path) -> None:
    """Refuse a shallow clone, since its history does not show all releases."""
    if is_shallow(root):
        raise Unavailable(
            "This clone is shallow, so what was released before can't be checked; run"
            " `git fetch --unshallow`."
        )


def refuse_unready(root: Path) -> None:
    """Refuse a repository where a commit would fail, or would contain unrelated changes."""
    if not has_commit(root):
        raise ConfigError("No git repository with a commit is here; `git init`, and commit.")
    refuse_shallow(root)
    for name, what in _UNDER_WAY.items():
        if (root / git(root, "rev-parse", "--git-path", name)).exists():
            raise ConfigError(f"A {what} is in progress; end it (`git {what} --continue`) first.")
    if not git_knows(root, "symbolic-ref", "-q", "HEAD"):
        raise ConfigError(
            "HEAD is on no branch, so the commit would be lost; `git switch BRANCH` first."
        )
    if not git_knows(root, "var", "GIT_COMMITTER_IDENT"):
        raise ConfigError(
            "git has no author name; set `git config user.name`, `git config user.email`."
        )
    if foreign := next(_foreign(root), None):
        raise ConfigError(
            f"{foreign}: not committed, and no part of a release; commit or ignore it first."
        )


def _foreign(root: Path) -> Iterator[str]:
    """Yield changed and new files that a tick or a release does not own."""
    prefix = git(root, "rev-parse", "--show-prefix")
    status = git_bytes(root, "status", "--porcelain", "-z", "--untracked-files=all", "--", ".")
    parts = iter(status.decode(errors="replace").split("\0"))
    for part in parts:
        names = [part[3:]] if part else []
        if part[:1] in {"R", "C"}:  # the old name follows
            names.append(next(parts, ""))
        yield from (n.removeprefix(prefix) for n in names if not owned(n.removeprefix(prefix)))


def owned(name: str) -> bool:
    """Return whether a tick or a release commits this file.

    >>> owned("reports/verdict.json"), owned("data/raw.dvc"), owned("params.yaml")
    (True, True, False)
    """
    return name.split("/", maxsplit=1)[0] in OWNED or name.endswith(OWNED_SUFFIX)


def commit(root: Path, message: str, branch: str | None = None) -> str:
    """Commit the owned files, and return the commit's id.

    With `branch`, the commit goes on top of HEAD to that branch, which is overwritten; HEAD and
    the index do not change.
    """
    if branch is None:
        git(root, "add", "--all", "--", *_mine(root))
        git_bytes(root, "commit", "--quiet", "--file=-", given=message.encode())
        return head(root)
    command = ["commit-tree", "-p", "HEAD", "-F", "-", tree(root)]
    made = git_bytes(root, *command, given=message.encode()).decode().strip()
    git(root, "update-ref", f"refs/heads/{branch}", made)
    return made


def tree(root: Path) -> str:
    """Write a tree to git: HEAD's, with the owned files as they are now; return its id."""
    with tempfile.TemporaryDirectory(dir=root / ".cll") as scratch:
        index = Path(scratch).resolve() / "index"
        git(root, "read-tree", "HEAD", index=index)
        git(root, "add", "--all", "--", *_mine(root), index=index)
        return git(root, "write-tree", index=index)


def restore_owned(root: Path, tree_id: str) -> None:
    """Restore the owned files to their state in a tree that `tree` wrote."""
    saved = {*_listed(root, "ls-tree", "-r", "-z", "--name-only", tree_id)}
    existing = _listed(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in existing:
        if owned(name) and name not in saved:
            (root / name).unlink(missing_ok=True)
    names = [name for name in sorted(saved) if owned(name)]
    git(root, "restore", f"--source={tree_id}", "--worktree", "--", *names)


def changed(root: Path) -> list[str]:
    """Return the owned files that differ from HEAD, sorted."""
    names = [*_listed(root, "diff", "--name-only", "-z", "--relative", "HEAD")]
    names += _listed(root, "ls-files", "-z", "--others", "--exclude-standard")
    return sorted(name for name in {*names} if owned(name))


def current_branch(root: Path) -> str:
    """Return the branch that HEAD is on; empty for a detached HEAD."""
    query = ("symbolic-ref", "-q", "--short", "HEAD")
    return git(root, *query) if git_knows(root, *query) else ""


def _mine(root: Path) -> list[str]:
    existing = [name for name in OWNED if (root / name).exists()]
    notes = f":(glob)**/*{OWNED_SUFFIX}"
    listed = _listed(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", notes)
    return [*existing, *([notes] if listed else [])]


def _listed(root: Path, *words: str) -> list[str]:
    return [name for name in git_bytes(root, *words).decode().split("\0") if name]


def versions(root: Path, path: str) -> list[tuple[str, str]]:
    """Return each commit of HEAD's history that changed a file, oldest first, with its text.

    Git leaves out a merged branch from which the file was not taken. The text is empty where the
    commit deleted the file.
    """
    commits = git(root, "log", "--reverse", "--topo-order", "--format=%H", "--", path).split()
    texts = read_files(root, [(commit, path) for commit in commits])
    return [(c, text.decode(errors="replace")) for c, text in zip(commits, texts, strict=True)]


def read_files(root: Path, places: Sequence[tuple[str, str]]) -> list[bytes]:
    """Return the contents of files by (commit, path), from one git process; empty where missing."""
    if not places:
        return []
    requests = "".join(f"{commit}:./{path}\n" for commit, path in places)
    output = io.BytesIO(git_bytes(root, "cat-file", "--batch", given=requests.encode()))
    contents = []
    for _ in places:
        head = output.readline().rstrip(b"\n")
        if head.endswith(b" missing"):
            contents.append(b"")
            continue
        contents.append(output.read(int(head.rpartition(b" ")[2])))
        output.readline()
    return contents


def history(root: Path) -> set[str]:
    """Return the ids of HEAD and all its ancestors."""
    return set(git(root, "rev-list", "HEAD").split())


def read_file(root: Path, commit: str, path: str) -> bytes:
    """Return the contents of a file in a commit; empty if it has no such file."""
    if not git_knows(root, "cat-file", "-e", f"{commit}:./{path}"):
        return b""
    return git_bytes(root, "cat-file", "blob", f"{commit}:./{path}")


def ever_had(root: Path, path: str) -> bool:
    """Return whether any commit of any branch or tag ever contained a file."""
    return bool(git(root, "log", "--all", "-1", "--format=%H", "--", path))
