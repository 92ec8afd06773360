"""Setup of the DVC remote, its test by a probe file, and pushes to it."""

import shutil
import tempfile
from pathlib import Path

from cll.config import safety
from cll.model.ledger_entries import LedgerEntry
from cll.release import models
from cll.system import disk, links
from cll.types.errors import CllError, ConfigError, Unavailable
from cll.vcs.commands import dvc, git

NAME = "storage"
_PROBE = "probe"
_TEXT = b"cll doctor: a probe that went to the remote and back.\n"


def default(root: Path) -> str | None:
    """Return the name of the default remote."""
    try:
        return dvc(root, "remote", "default").strip() or None
    except Unavailable:
        return None


def url(root: Path, name: str) -> str:
    """Return the URL of a remote from DVC's config."""
    for line in dvc(root, "remote", "list").splitlines():
        listed, where, *_ = [*line.removesuffix("(default)").split(None, 1), ""]
        if listed == name and where:
            return where.strip()
    raise ConfigError(f"The DVC remote {name} has no URL; `cll doctor --remote URL` sets one.")


def set_up(root: Path, where: str) -> str:
    """Make a URL the default remote; if its test fails, restore DVC's config and raise."""
    safety.refuse_unsafe_string("--remote", where)
    # A relative path would mean another folder in each clone, and from each working folder.
    absolute = where if "://" in where else str(Path(where).expanduser().resolve())
    config = root / ".dvc" / "config"
    before = config.read_bytes()
    name = default(root) or NAME
    dvc(root, "remote", "add", "--default", "--force", name, absolute)
    try:
        probe(root)
    except CllError:
        disk.write_bytes(config, before)
        raise
    return absolute


def probe(root: Path) -> str:
    """Push a small file to the default remote and fetch it again; return the remote's URL."""
    name = default(root)
    if name is None:
        raise ConfigError("No default DVC remote is set; `cll doctor --remote URL` sets one.")
    where = url(root, name)
    with tempfile.TemporaryDirectory(prefix="cll-probe-") as scratch:
        folder = Path(scratch)
        dvc(folder, "init", "--no-scm")
        for file in ("config", "config.local"):  # the second may hold credentials
            if (root / ".dvc" / file).is_file():
                shutil.copy(root / ".dvc" / file, folder / ".dvc" / file)
        dvc(folder, "config", "--local", "core.no_scm", "true")
        for key in ("core.hardlink_lock", "cache.dir"):
            _unset(folder, key)
        dvc(folder, "remote", "modify", "--local", name, "url", _absolute(root, where))
        (folder / _PROBE).write_bytes(_TEXT)
        dvc(folder, "add", _PROBE)
        dvc(folder, "push", f"{_PROBE}.dvc")
        (folder / _PROBE).unlink()
        links.remove(folder / ".dvc" / "cache")
        dvc(folder, "pull", f"{_PROBE}.dvc")
        if (folder / _PROBE).read_bytes() != _TEXT:
            raise Unavailable(
                f"{where}: returned other bytes than were stored there; check the storage."
            )
    return where


def _unset(folder: Path, key: str) -> None:
    for level in ("--project", "--local"):
        try:
            dvc(folder, "config", level, "--unset", key)
        except Unavailable:
            continue  # it was not set


def _absolute(root: Path, where: str) -> str:
    """Return the URL, or an absolute path for one that is relative to the folder of DVC's config."""
    return where if "://" in where else str((root / ".dvc" / where).resolve())


def push(root: Path, entry: LedgerEntry | None, *, all_models: bool = False) -> str | None:
    """Push the stages' outputs and one or all released models; return the URL, or None without a remote."""
    name = default(root)
    if name is None:
        return None
    listed = git(root, "ls-files", "--", ":(glob)**/*.dvc").splitlines()
    targets = [path for path in listed if all_models or not path.startswith(f"{models.MODELS}/")]
    if entry is not None:
        targets.append(str(models.tracked(root, entry.model_id).relative_to(root)))
    pipeline = ["dvc.yaml"] if (root / "dvc.yaml").is_file() else []
    dvc(root, "push", *pipeline, *dict.fromkeys(targets))
    return url(root, name)
