"""Check the setup of a project; each check that fails names the remedy."""

from collections.abc import Callable, Iterator
from pathlib import Path

from cll.config.project import load_world
from cll.model import ledger_entries
from cll.pipeline import stages
from cll.release import ledger, remote
from cll.system.workspace import Workspace
from cll.types.errors import CllError, ConfigError, Unavailable, from_os_error
from cll.vcs import git as vcs_git
from cll.vcs import repair, staleness
from cll.vcs.commands import git

OK, DO = "ok", "do"


def examine(root: Path) -> Iterator[tuple[str, int]]:
    """Yield the result line of each check, and its exit code (0 if it passed)."""
    for name, check in _CHECKS.items():
        try:
            yield f"{OK}  {name}: {check(root)}", 0
        except (CllError, OSError) as error:
            refused = error if isinstance(error, CllError) else from_os_error(error)
            yield f"{DO}  {name}: {refused}", refused.exit_code


def _git(root: Path) -> str:
    if not vcs_git.has_commit(root):
        raise ConfigError("no repository with a commit is here; `git init`, and commit.")
    vcs_git.refuse_shallow(root)
    vcs_git.refuse_unready(root)
    branch = git(root, "symbolic-ref", "--short", "HEAD")
    return f"branch {branch} is ready for commits."


def _dvc(root: Path) -> str:
    if not (root / ".dvc" / "config").is_file():
        raise ConfigError("not set up in this project; `dvc init`, and commit.")
    return "set up."


def _files(root: Path) -> str:
    if damages := repair.damages(root):
        more = f" (and {len(damages) - 1} more)" if len(damages) > 1 else ""
        remedy = "`cll doctor --repair`, or the next `cll tick`, repairs it."
        raise Unavailable(f"{damages[0].finding}{more}; {remedy}")
    return "no generated file is empty, truncated or stale."


def _lock(root: Path) -> str:
    if not (root / "uv.lock").is_file():
        raise ConfigError("uv.lock: not there; `uv lock`, so that all install the same versions.")
    if vcs_git.has_commit(root) and not git(root, "ls-files", "--", "uv.lock"):
        raise ConfigError("uv.lock: not in git; `git add uv.lock`, and commit.")
    return "uv.lock is in git."


def _composed(root: Path) -> str:
    stages.compose(Workspace(root), check=True)
    return "resolved.yaml agrees with conf/ and params.yaml."


def _results(root: Path) -> str:
    ws = Workspace(root)
    verdict = staleness.read_verdict(ws)
    if error := staleness.stale(ws):
        raise error
    return f"nothing changed since the verdict ({verdict['answer']}, {verdict['model_id']})."


def _ledger(root: Path) -> str:
    releases = ledger.read(root)
    if not releases.entries:
        return "no release yet; `cll release --bootstrap` makes the first."
    if pending := releases.pending:
        kind = pending[-1].kind
        raise ConfigError(f"{pending[-1]} is not committed; `cll {kind}` continues it.")
    now, world = releases.champion, load_world(Workspace(root)).champion
    release = str(ledger_entries.released(releases.entries, now))
    return release + (
        " is the champion." if world == now else " is the champion from the next tick on."
    )


def _remote(root: Path) -> str:
    if remote.default(root) is None:
        raise ConfigError("none: only this machine has the models; `cll doctor --remote URL`.")
    try:
        return f"{remote.probe(root)}: a test file was pushed and pulled."
    except Unavailable as error:
        raise Unavailable(f"a test file could not be pushed and pulled: {error}") from None


_CHECKS: dict[str, Callable[[Path], str]] = {
    "git": _git,
    "dvc": _dvc,
    "files": _files,
    "lock file": _lock,
    "config": _composed,
    "results": _results,
    "ledger": _ledger,
    "remote": _remote,
}
