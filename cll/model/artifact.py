"""The one form of a model: plain files with checksums, nothing in them that could run."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from cll.config import catalog
from cll.model import card, platt
from cll.system import disk
from cll.types.arrays import Features, Flags, Floats
from cll.types.components import Model
from cll.types.errors import CllError, SecurityRefusal, Unavailable
from cll.types.verdicts import Lineage

MODEL, CARD, SUMS = "model.json", "MODEL_CARD.md", "SHA256SUMS"
MAX_BYTES = 1 << 28  # of all files together, so that a foreign folder can't fill the memory
ID_DIGITS = 16
_LISTED = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]{0,127})")


@dataclass(frozen=True)
class Predictor:
    """A model with all it takes to answer: calibration and threshold."""

    model: Model
    names: tuple[str, ...]  # the features, in the columns' order
    slope: float = 1.0
    intercept: float = 0.0
    threshold: float = 0.5
    meta: Mapping[str, Any] = field(default_factory=dict)  # model.json, once there is one
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)  # as they were read

    @property
    def model_id(self) -> str:
        return str(self.meta.get("model_id", "none"))

    @property
    def model_type(self) -> str:
        """Return the estimator's name: its module's, which is also conf/'s."""
        return type(self.model).__module__.rpartition(".")[2]

    def probability(self, X: Features) -> Floats:
        """Return the probability of 1 for each row; NaN in `X` is a missing value."""
        return platt.probability(self.model.margin(X), self.slope, self.intercept)

    def alert(self, probability: Floats) -> Flags:
        return probability >= self.threshold


@dataclass(frozen=True)
class Feature:
    name: str
    type: Literal["float32"]


@dataclass(frozen=True)
class Calibration:
    slope: FiniteFloat
    intercept: FiniteFloat


@dataclass(frozen=True)
class Form:
    """What model.json holds, for the check of one that is read."""

    version: Literal[1]
    model_id: str
    model_type: str
    created: str
    accuracy: FiniteFloat
    features: tuple[Feature, ...]
    calibration: Calibration
    threshold: FiniteFloat
    importance: dict[str, FiniteFloat]
    lineage: dict[str, Any]
    train: dict[str, Any]
    model: dict[str, Any]
    files: dict[str, str]


def pack(
    predictor: Predictor,
    created: str,
    accuracy: float,
    lineage: Lineage,
    notes: Mapping[str, Any],
    figures: Mapping[str, float] | None = None,
) -> dict[str, bytes]:
    """Return the files of a model.

    `created` is the world's `as_of`; `accuracy` is the holdout's, at the threshold; `notes` are
    training's on itself; `figures` go into the card.
    """
    parts, files = predictor.model.parts()
    form: dict[str, Any] = {
        "version": 1,
        "model_type": predictor.model_type,
        "created": created,
        "accuracy": round(accuracy, 6),
        "features": [{"name": name, "type": "float32"} for name in predictor.names],
        "calibration": {"slope": predictor.slope, "intercept": predictor.intercept},
        "threshold": predictor.threshold,
        "importance": dict(predictor.model.importance),
        "lineage": vars(lineage),
        "train": dict(notes),
        "model": dict(parts),
        "files": {name: _sha256(data) for name, data in files.items()},
    }
    form["model_id"] = model_id(form)
    packed = {**files, MODEL: disk.json_bytes(form), CARD: card.render(form, figures).encode()}
    return _sealed(packed)


def as_read(predictor: Predictor) -> dict[str, bytes]:
    """Return the files of a model that was read: the same bytes."""
    return _sealed({name: data for name, data in predictor.files.items() if name != SUMS})


def _sealed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    sums = [f"{_sha256(files[name])}  {name}\n" for name in sorted(files)]
    return {**files, SUMS: "".join(sums).encode()}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def model_id(form: Mapping[str, Any]) -> str:
    """Return the id of a model.json's content, which holds the digests of the files beside it."""
    return disk.digest({k: v for k, v in form.items() if k != "model_id"})[:ID_DIGITS]


def load(folder: Path, wanted: str | None = None) -> Predictor:
    """Read a model back; not a byte is parsed before all checksums hold.

    `wanted` is the model_id that the ledger or world.yaml names, where one does.
    """
    return _read(verified(folder), folder, wanted)


def unpack(files: Mapping[str, bytes]) -> Predictor:
    """Return the model that `pack` gave the files of: what a process that loads it gets."""
    return _read(files, Path("models"), None)


def _read(files: Mapping[str, bytes], folder: Path, wanted: str | None) -> Predictor:
    where = folder / MODEL
    if MODEL not in files:
        raise SecurityRefusal(f"{where}: not there; make or fetch the model again.")
    form, raw = _parse(files[MODEL], where)
    if model_id(raw) != form.model_id:
        raise SecurityRefusal(
            f"{where}: model_id is {form.model_id}, its content's is {model_id(raw)};"
            " make or fetch the model again."
        )
    if wanted not in {None, form.model_id}:
        raise SecurityRefusal(f"{where}: model_id is {form.model_id}, where {wanted} is in force.")
    beside = {name: files.get(name, b"") for name in form.files}
    for name, data in beside.items():
        if _sha256(data) != form.files[name]:
            raise SecurityRefusal(f"{folder / name}: not the file that {MODEL} was made with.")
    return Predictor(
        model=_model(form, beside, where),
        names=tuple(feature.name for feature in form.features),
        slope=form.calibration.slope,
        intercept=form.calibration.intercept,
        threshold=form.threshold,
        meta=raw,
        files=files,
    )


def _model(form: Form, beside: Mapping[str, bytes], where: Path) -> Model:
    module = catalog.component_module("estimator", form.model_type)
    try:
        model: Model = module.load(form.model, beside)
        names = tuple(model.importance)
    except CllError:
        raise
    except Exception as error:  # noqa: BLE001  each estimator fails in its own way on foreign parts
        raise SecurityRefusal(
            f"{where}: not a model of {form.model_type}: {type(error).__name__}."
        ) from None
    if names != tuple(feature.name for feature in form.features):
        raise SecurityRefusal(f"{where}: its features are not those of the model in it.")
    return model


def _parse(data: bytes, where: Path) -> tuple[Form, dict[str, Any]]:
    try:
        return TypeAdapter(Form).validate_json(data, strict=True), json.loads(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"]) or "the file"
        raise SecurityRefusal(f"{where}: {key}: {first['msg']}; not a model of ours.") from None


def verified(folder: Path) -> dict[str, bytes]:
    """Return the folder's files, by name, after each was found to be what SHA256SUMS says."""
    if not folder.is_dir():
        raise Unavailable(f"{folder}: no model is there; run `dvc repro`, or `dvc pull` for one.")
    listed = _listed(folder)
    there = {path.name for path in folder.iterdir()} - {SUMS}
    for name in sorted(there ^ set(listed)):
        says = "not listed in" if name in there else "missing, and listed in"
        raise SecurityRefusal(f"{folder / name}: {says} {SUMS}; make or fetch the model again.")
    if sum((folder / name).stat().st_size for name in listed) > MAX_BYTES:
        raise SecurityRefusal(f"{folder}: over {MAX_BYTES >> 20} MiB; not a model of ours.")
    files = {}
    for name, digest in listed.items():
        if not (folder / name).is_file():
            raise SecurityRefusal(f"{folder / name}: not a file; make or fetch the model again.")
        files[name] = (folder / name).read_bytes()
        found = _sha256(files[name])
        if found != digest:
            raise SecurityRefusal(
                f"{folder / name}: sha256 is {found[:12]}…, {SUMS} says {digest[:12]}…;"
                " make or fetch the model again."
            )
    return files


def _listed(folder: Path) -> dict[str, str]:
    """Return name -> sha256; a name is a plain file name, so no path leads out of the folder."""
    path = folder / SUMS
    if not path.is_file() or path.stat().st_size > 1 << 16:
        raise SecurityRefusal(f"{path}: missing or too long; make or fetch the model again.")
    listed: dict[str, str] = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        match = _LISTED.fullmatch(line)
        if match is None or match[2] in {*listed, SUMS}:
            raise SecurityRefusal(f"{path}:{number}: not a digest and a file name of its own.")
        listed[match[2]] = match[1]
    return listed
