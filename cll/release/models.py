"""Store of released models, registry/models: a folder per model_id, with sample rows and scores."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from cll.model import artifact
from cll.model.artifact import SUMS
from cll.model.ledger_entries import LedgerEntry
from cll.system import disk, links
from cll.types.errors import SecurityRefusal, Unavailable
from cll.vcs.commands import dvc

MODELS = Path("registry") / "models"
_MISSING = "missing; run `dvc pull"


def folder(root: Path, model_id: str) -> Path:
    return root / MODELS / model_id


def known_scores_path(root: Path, model_id: str) -> Path:
    """Return the file of sample rows with their scores; it is in git, so every clone has it."""
    return root / MODELS / f"{model_id}.known.json"


def tracked(root: Path, model_id: str) -> Path:
    """Return the .dvc file by which DVC tracks the model."""
    return root / MODELS / f"{model_id}.dvc"


def place(root: Path, files: Mapping[str, bytes], model_id: str) -> Path:
    """Copy a model's files to its folder, which appears only once all files are written."""
    target = folder(root, model_id)
    links.refuse_on_way(root, target)
    if target.is_dir():
        try:
            if files_of(target) == files:
                return target
        except SecurityRefusal:
            pass
        links.remove(target)  # left by an interrupted release; no entry names it
    staging = disk.fresh(target.with_name(f".{model_id}.tmp"))
    for name, data in files.items():
        disk.write_bytes(staging / name, data)
    staging.rename(target)
    disk.sync_folder(target.parent)
    return target


def files_of(model: Path) -> dict[str, bytes]:
    """Read a model's files, SHA256SUMS included, and check each against that."""
    sums = (model / SUMS).read_bytes() if (model / SUMS).is_file() else b""
    return {**artifact.verified(model), SUMS: sums}


def track(root: Path, model_id: str) -> None:
    """Add a model to DVC; each has its own .dvc file in git, so branches do not conflict."""
    dvc(root, "add", str(MODELS / model_id))


def checkout(root: Path, model_id: str) -> None:
    """Check a model out of DVC's cache."""
    dvc(root, "checkout", str(MODELS / f"{model_id}.dvc"))


def intact(root: Path, entry: LedgerEntry) -> str:
    """Check a released model against the ledger; return the name of the place that holds it."""
    sample = known_scores_path(root, entry.model_id)
    if not sample.is_file():
        raise SecurityRefusal(f"{_near(root, sample)}: missing; `git checkout HEAD -- {MODELS}`.")
    if disk.sha256(sample) != entry.known:
        raise SecurityRefusal(
            f"{_near(root, sample)}: not the file that {entry.version} was released with;"
            f" `git checkout HEAD -- {MODELS}`."
        )
    if not folder(root, entry.model_id).is_dir():
        cached = _cached(root, entry)
        _as_released(root, entry, hashlib.sha256(cached.get(SUMS, b"")).hexdigest())
        _as_listed(root, entry, cached)
        return "DVC's cache"
    files = files_of(folder(root, entry.model_id))
    _as_released(root, entry, hashlib.sha256(files[SUMS]).hexdigest())
    return "the workspace"


def _as_released(root: Path, entry: LedgerEntry, sums: str) -> None:
    if sums != entry.sums:
        where = _near(root, folder(root, entry.model_id))
        raise SecurityRefusal(
            f"{where}: not the files that {entry.version} was released with; remove it, and"
            f" `dvc checkout {where}.dvc`."
        )


def _as_listed(root: Path, entry: LedgerEntry, files: Mapping[str, bytes]) -> None:
    sums = "".join(
        f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n"
        for name in sorted(files)
        if name != SUMS
    )
    if sums.encode() != files[SUMS]:
        where = _near(root, folder(root, entry.model_id))
        raise SecurityRefusal(f"DVC's cache: {where}: does not match its {SUMS}; fetch it again.")


def _cached(root: Path, entry: LedgerEntry) -> dict[str, bytes]:
    """Read a model's files from DVC's cache, if the workspace lacks them."""
    note = tracked(root, entry.model_id)
    where = _near(root, folder(root, entry.model_id))
    missing = Unavailable(f"{where}: {entry.version} is {_MISSING} {where}.dvc`.")
    try:
        (out,) = yaml.safe_load(note.read_text(encoding="utf-8"))["outs"]
        cache = root / dvc(root, "cache", "dir").strip() / "files" / "md5"
        listed = json.loads(_blob(cache, str(out["md5"])).read_bytes())
        return {file["relpath"]: _blob(cache, file["md5"]).read_bytes() for file in listed}
    except FileNotFoundError:
        raise missing from None
    except (ValueError, KeyError, TypeError, yaml.YAMLError):
        raise SecurityRefusal(
            f"{_near(root, note)}: not a .dvc file of a folder; `git checkout HEAD -- {MODELS}`."
        ) from None


def _blob(cache: Path, digest: str) -> Path:
    return cache / digest[:2] / digest[2:]


def unregistered(root: Path, entries: tuple[LedgerEntry, ...]) -> list[str]:
    """Return the paths in registry/models that belong to no entry of the ledger."""
    names = {entry.model_id for entry in entries}
    paths = sorted((root / MODELS).glob("[!.]*"))
    return [str(_near(root, path)) for path in paths if path.name.partition(".")[0] not in names]


def _near(root: Path, path: Path) -> Path:
    return path.relative_to(root)
