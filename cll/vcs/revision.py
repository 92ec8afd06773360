"""Files at a git revision, and the choice of the revision to compare the working tree with."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from cll.types.errors import CllError, ConfigError, Unavailable

_TRUNKS = ("origin/main", "origin/master", "main", "master")
_SHORT = 9  # characters of a commit that are shown
_UNSHALLOW = "this clone is shallow; run `git fetch --unshallow`"


@dataclass(frozen=True)
class Revision:
    """A commit, and the name by which the user gave it."""

    root: Path  # the project's folder; it may lie below the repository's
    name: str
    commit: str

    def __str__(self) -> str:
        short = self.commit[:_SHORT]
        return short if self.commit.startswith(self.name) else f"{self.name} ({short})"

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes; None if the commit has no such file."""
        output = _git(self.root, "cat-file", "--batch", given=f"{self.commit}:./{path}\n")
        head, _, rest = output.stdout.partition(b"\n")
        fields = head.split()
        if output.returncode or len(fields) != 3 or fields[1] != b"blob":  # noqa: PLR2004  id, kind, size
            return None
        return rest[: int(fields[2])]


def find(root: Path, name: str | None) -> Revision:
    """Return the revision to compare the working tree with; `A...` is the merge base with A.

    Without a name it is the merge base with the default branch. If that is HEAD itself, it is HEAD
    where the tree has changes, and else, on the default branch, the commit before HEAD.
    """
    if _git(root, "rev-parse", "--git-dir").returncode:
        raise ConfigError(
            "Not a git repository, so there is nothing to compare with; `git init` and commit."
        )
    if not _commit(root, "HEAD"):
        raise ConfigError("git holds no commit yet, so there is nothing to compare with; commit.")
    if name is None:
        return _default(root)
    if name.endswith("..."):
        return _shared(root, name.removesuffix("...") or "HEAD")
    return _named(root, name)


def _default(root: Path) -> Revision:
    trunk = _trunk(root)
    base = _shared(root, trunk) if trunk else _named(root, "HEAD")
    if base.commit != _commit(root, "HEAD"):
        return base
    if _git(root, "diff", "--quiet", "HEAD", "--", ".").returncode:
        return _named(root, "HEAD")
    branch = _line(root, "symbolic-ref", "--quiet", "--short", "HEAD")  # empty for a detached HEAD
    is_trunk = not branch or not trunk or trunk.removeprefix("origin/") == branch
    return _named(root, "HEAD~1") if is_trunk else base


def _trunk(root: Path) -> str:
    """Return the default branch of origin, else the first usual name that exists."""
    default = _line(root, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    names = [default, *_TRUNKS] if default else [*_TRUNKS]
    return next((name for name in names if _commit(root, name)), "")


def _shared(root: Path, name: str) -> Revision:
    """Return the merge base of HEAD and another revision."""
    other = _named(root, name)
    commit = _line(root, "merge-base", other.commit, "HEAD")
    if not commit:
        way = _UNSHALLOW if _is_shallow(root) else "name a revision that HEAD comes from"
        raise _refusal(root, f"{name}: HEAD shares no commit with it that git knows: {way}.")
    return Revision(root, name, commit)


def _named(root: Path, name: str) -> Revision:
    if commit := _commit(root, name):
        return Revision(root, name, commit)
    if _is_shallow(root):
        raise _refusal(root, f"{name}: not in what git has here: {_UNSHALLOW}.")
    if name == "HEAD~1":
        raise _refusal(root, "HEAD~1: this is the first commit; there is none to compare it with.")
    raise _refusal(root, f"{name}: no such revision; `git fetch`, or see `git branch -a`.")


def _refusal(root: Path, message: str) -> CllError:
    return Unavailable(message) if _is_shallow(root) else ConfigError(message)


def _commit(root: Path, name: str) -> str:
    return _line(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")


def _is_shallow(root: Path) -> bool:
    return _line(root, "rev-parse", "--is-shallow-repository") == "true"


def _line(root: Path, *words: str) -> str:
    """Return the output of a git command; empty if it fails."""
    done = _git(root, *words)
    return "" if done.returncode else done.stdout.decode(errors="replace").strip()


def _git(root: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603  our own arguments, and a revision that git verifies
        ["git", *words],  # noqa: S607  the one on the path is the user's
        cwd=root,
        input=given.encode(),
        capture_output=True,
        check=False,
    )
