"""What git holds at a revision: the one place that asks git, and the one that finds a base."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from cll.types.errors import CllError, ConfigError, Unavailable

_TRUNKS = ("origin/main", "origin/master", "main", "master")
_SHORT = 9  # characters of a commit that are shown
_UNSHALLOW = "this clone is shallow; run `git fetch --unshallow`"


@dataclass(frozen=True)
class Revision:
    """A commit, and the word by which it was asked for."""

    root: Path  # the project's folder, wherever in the repository it lies
    name: str
    commit: str

    def __str__(self) -> str:
        short = self.commit[:_SHORT]
        return short if self.commit.startswith(self.name) else f"{self.name} ({short})"

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes; None where that commit has no such file."""
        told = _git(self.root, "cat-file", "--batch", given=f"{self.commit}:./{path}\n")
        head, _, rest = told.stdout.partition(b"\n")
        fields = head.split()
        if told.returncode or len(fields) != 3 or fields[1] != b"blob":  # noqa: PLR2004  id, kind, size
            return None
        return rest[: int(fields[2])]


def find(root: Path, asked: str | None) -> Revision:
    """Find what to compare the working tree with; `A...` is the last commit shared with A.

    Unless asked for: the last commit shared with the default branch. Where HEAD is that itself, it
    is HEAD if the tree differs from it, and on the default branch the commit before.
    """
    if _git(root, "rev-parse", "--git-dir").returncode:
        raise ConfigError(
            "Not a git repository, so there is nothing to compare with; `git init` and commit."
        )
    if not _commit(root, "HEAD"):
        raise ConfigError("git holds no commit yet, so there is nothing to compare with; commit.")
    if asked is None:
        return _default(root)
    if asked.endswith("..."):
        return _shared(root, asked.removesuffix("...") or "HEAD")
    return _named(root, asked)


def _default(root: Path) -> Revision:
    trunk = _trunk(root)
    base = _shared(root, trunk) if trunk else _named(root, "HEAD")
    if base.commit != _commit(root, "HEAD"):
        return base
    if _git(root, "diff", "--quiet", "HEAD", "--", ".").returncode:
        return _named(root, "HEAD")
    on = _line(root, "symbolic-ref", "--quiet", "--short", "HEAD")  # nothing where it is detached
    is_trunk = not on or not trunk or trunk.removeprefix("origin/") == on
    return _named(root, "HEAD~1") if is_trunk else base


def _trunk(root: Path) -> str:
    """Name the default branch: what origin says, else the usual names."""
    told = _line(root, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    names = [told, *_TRUNKS] if told else [*_TRUNKS]
    return next((name for name in names if _commit(root, name)), "")


def _shared(root: Path, name: str) -> Revision:
    """Find the last commit that HEAD shares with another one."""
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


def _refusal(root: Path, says: str) -> CllError:
    return Unavailable(says) if _is_shallow(root) else ConfigError(says)


def _commit(root: Path, name: str) -> str:
    return _line(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")


def _is_shallow(root: Path) -> bool:
    return _line(root, "rev-parse", "--is-shallow-repository") == "true"


def _line(root: Path, *words: str) -> str:
    """Return what git answers, or nothing where it has no answer."""
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
