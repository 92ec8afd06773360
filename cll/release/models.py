"""registry/models: released models by content, and beside each the rows whose scores are known."""

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
_NOT_THERE = "not there; run `dvc pull"


def folder(root: Path, model_id: str) -> Path:
    return root / MODELS / model_id


def known(root: Path, model_id: str) -> Path:
    """Return where the rows with known scores lie: in git, so that every clone has them."""
    return root / MODELS / f"{model_id}.known.json"


def tracked(root: Path, model_id: str) -> Path:
    """Return DVC's note on the model."""
    return root / MODELS / f"{model_id}.dvc"


def place(root: Path, files: Mapping[str, bytes], model_id: str) -> Path:
    """Copy a model's files to where its content says; under that name it is whole, or not there."""
    there = folder(root, model_id)
    links.refuse_on_way(root, there)
    if there.is_dir():
        try:
            if files_of(there) == files:
                return there
        except SecurityRefusal:
            pass
        links.remove(there)  # no entry names it yet: what a release that broke off had begun
    staging = disk.fresh(there.with_name(f".{model_id}.tmp"))
    for name, data in files.items():
        disk.write_bytes(staging / name, data)
    staging.rename(there)
    disk.sync_folder(there.parent)
    return there


def files_of(model: Path) -> dict[str, bytes]:
    """Read a model's files, SHA256SUMS too, after each was found to be what that says."""
    sums = (model / SUMS).read_bytes() if (model / SUMS).is_file() else b""
    return {**artifact.verified(model), SUMS: sums}


def track(root: Path, model_id: str) -> None:
    """Let DVC keep the model, by a note of its own that git keeps: two branches never clash."""
    dvc(root, "add", str(MODELS / model_id))


def checkout(root: Path, model_id: str) -> None:
    """Take a model out of DVC's cache."""
    dvc(root, "checkout", str(MODELS / f"{model_id}.dvc"))


def intact(root: Path, entry: LedgerEntry) -> str:
    """Refuse a released model that is not what the ledger says; return where it was found."""
    told = known(root, entry.model_id)
    if not told.is_file():
        raise SecurityRefusal(f"{_near(root, told)}: gone; `git checkout HEAD -- {MODELS}`.")
    if disk.sha256(told) != entry.known:
        raise SecurityRefusal(
            f"{_near(root, told)}: not what {entry.version} was released with;"
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


def _as_released(root: Path, entry: LedgerEntry, found: str) -> None:
    if found != entry.sums:
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
        raise SecurityRefusal(f"DVC's cache: {where}: not what {SUMS} says; fetch it again.")


def _cached(root: Path, entry: LedgerEntry) -> dict[str, bytes]:
    """Read a model out of DVC's cache, where the workspace has it not."""
    note = tracked(root, entry.model_id)
    where = _near(root, folder(root, entry.model_id))
    missing = Unavailable(f"{where}: {entry.version} is {_NOT_THERE} {where}.dvc`.")
    try:
        (out,) = yaml.safe_load(note.read_text(encoding="utf-8"))["outs"]
        cache = root / dvc(root, "cache", "dir").strip() / "files" / "md5"
        listed = json.loads(_blob(cache, str(out["md5"])).read_bytes())
        return {one["relpath"]: _blob(cache, one["md5"]).read_bytes() for one in listed}
    except FileNotFoundError:
        raise missing from None
    except (ValueError, KeyError, TypeError, yaml.YAMLError):
        raise SecurityRefusal(
            f"{_near(root, note)}: not DVC's; `git checkout HEAD -- {MODELS}`."
        ) from None


def _blob(cache: Path, digest: str) -> Path:
    return cache / digest[:2] / digest[2:]


def unregistered(root: Path, entries: tuple[LedgerEntry, ...]) -> list[str]:
    """List what lies among the models and no entry names."""
    names = {entry.model_id for entry in entries}
    found = sorted((root / MODELS).glob("[!.]*"))
    return [str(_near(root, one)) for one in found if one.name.partition(".")[0] not in names]


def _near(root: Path, path: Path) -> Path:
    return path.relative_to(root)
