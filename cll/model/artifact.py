"""Read and write models as plain files with checksums; none of the files can run code."""

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
from cll.types.components import FittedModel
from cll.types.errors import CllError, SecurityRefusal, Unavailable
from cll.types.verdicts import Lineage

MODEL, CARD, SUMS = "model.json", "MODEL_CARD.md", "SHA256SUMS"
MAX_BYTES = 1 << 28  # all files of a model together; protects the memory from a foreign folder
ID_DIGITS = 16
_REMEDY = "make or fetch the model again"
_SUMS_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]{0,127})")


@dataclass(frozen=True)
class Predictor:
    """A model with its calibration and threshold: everything needed to score and to alert."""

    model: FittedModel
    names: tuple[str, ...]  # names of the features, in the order of the columns
    slope: float = 1.0
    intercept: float = 0.0
    threshold: float = 0.5
    meta: Mapping[str, Any] = field(
        default_factory=dict
    )  # model.json; empty before the model is packed
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)  # the bytes that were read

    @property
    def model_id(self) -> str:
        return str(self.meta.get("model_id", "none"))

    @property
    def model_type(self) -> str:
        """Return the estimator's name, which names its module and its file in conf/."""
        return type(self.model).__module__.rpartition(".")[2]

    def probability(self, X: Features) -> Floats:
        """Return each row's calibrated probability of label 1; NaN in `X` is a missing value."""
        return platt.probability(self.model.margin(X), self.slope, self.intercept)

    def alert(self, probability: Floats) -> Flags:
        """Return which rows alert: those from the threshold up."""
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
class ModelJson:
    """The schema of model.json, which a file must match when it is read."""

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
    """Return the files of a model, by name.

    `created` is the `as_of` of world.yaml; `accuracy` is the one on the holdout, at the threshold;
    `notes` describe the training; `figures` go into the card.
    """
    parts, files = predictor.model.parts()
    content: dict[str, Any] = {
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
    content["model_id"] = model_id(content)
    text = card.render(content, figures).encode()
    return _with_sums({**files, MODEL: disk.json_bytes(content), CARD: text})


def repack(predictor: Predictor) -> dict[str, bytes]:
    """Return the files of a model that was read, with the same bytes."""
    return _with_sums({name: data for name, data in predictor.files.items() if name != SUMS})


def _with_sums(files: Mapping[str, bytes]) -> dict[str, bytes]:
    sums = [f"{_sha256(files[name])}  {name}\n" for name in sorted(files)]
    return {**files, SUMS: "".join(sums).encode()}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def model_id(content: Mapping[str, Any]) -> str:
    """Return the id of a model: a digest of model.json, which holds the digests of other files."""
    return disk.digest({k: v for k, v in content.items() if k != "model_id"})[:ID_DIGITS]


def load(folder: Path, wanted: str | None = None) -> Predictor:
    """Load a model from its folder, after checking all checksums.

    `wanted` is the model_id that the model must have, such as that of the champion.
    """
    return _read(verified(folder), folder, wanted)


def unpack(files: Mapping[str, bytes]) -> Predictor:
    """Return the model whose files `pack` returned, the same as if it were loaded from a folder."""
    return _read(files, Path("models"), None)


def _read(files: Mapping[str, bytes], folder: Path, wanted: str | None) -> Predictor:
    path = folder / MODEL
    if MODEL not in files:
        raise SecurityRefusal(f"{path}: missing; {_REMEDY}.")
    content, raw = _parse(files[MODEL], path)
    if model_id(raw) != content.model_id:
        raise SecurityRefusal(
            f"{path}: model_id is {content.model_id}, but the content has {model_id(raw)}; {_REMEDY}."
        )
    if wanted not in {None, content.model_id}:
        raise SecurityRefusal(
            f"{path}: model_id is {content.model_id}, but {wanted} is wanted; {_REMEDY}."
        )
    parts = {name: files.get(name, b"") for name in content.files}
    for name, data in parts.items():
        if _sha256(data) != content.files[name]:
            raise SecurityRefusal(
                f"{folder / name}: not the file that {MODEL} was made with; {_REMEDY}."
            )
    return Predictor(
        model=_model(content, parts, path),
        names=tuple(feature.name for feature in content.features),
        slope=content.calibration.slope,
        intercept=content.calibration.intercept,
        threshold=content.threshold,
        meta=raw,
        files=files,
    )


def _model(content: ModelJson, parts: Mapping[str, bytes], path: Path) -> FittedModel:
    module = catalog.component_module("estimator", content.model_type)
    try:
        model: FittedModel = module.load(content.model, parts)
        names = tuple(model.importance)
    except CllError:
        raise
    except Exception as error:  # noqa: BLE001  each estimator fails in its own way on foreign parts
        raise SecurityRefusal(
            f"{path}: not a model of {content.model_type}: {type(error).__name__}; {_REMEDY}."
        ) from None
    if names != tuple(feature.name for feature in content.features):
        raise SecurityRefusal(f"{path}: its features are not those of the model in it; {_REMEDY}.")
    return model


def _parse(data: bytes, path: Path) -> tuple[ModelJson, dict[str, Any]]:
    try:
        return TypeAdapter(ModelJson).validate_json(data, strict=True), json.loads(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"]) or "the file"
        raise SecurityRefusal(f"{path}: {key}: {first['msg']}; not written by `cll`.") from None


def verified(folder: Path) -> dict[str, bytes]:
    """Return the folder's files, by name, after checking each against SHA256SUMS."""
    if not folder.is_dir():
        raise Unavailable(f"{folder}: no model is there; run `dvc repro`, or `dvc pull` for one.")
    listed = _read_sums(folder)
    existing = {path.name for path in folder.iterdir()} - {SUMS}
    for name in sorted(existing ^ set(listed)):
        fault = "not listed in" if name in existing else "missing, but listed in"
        raise SecurityRefusal(f"{folder / name}: {fault} {SUMS}; {_REMEDY}.")
    if sum((folder / name).stat().st_size for name in listed) > MAX_BYTES:
        raise SecurityRefusal(f"{folder}: over {MAX_BYTES >> 20} MiB; not written by `cll`.")
    files = {}
    for name, digest in listed.items():
        if not (folder / name).is_file():
            raise SecurityRefusal(f"{folder / name}: not a file; {_REMEDY}.")
        files[name] = (folder / name).read_bytes()
        actual = _sha256(files[name])
        if actual != digest:
            raise SecurityRefusal(
                f"{folder / name}: sha256 is {actual[:12]}…, {SUMS} has {digest[:12]}…; {_REMEDY}."
            )
    return files


def _read_sums(folder: Path) -> dict[str, str]:
    """Return the sha256 of each listed file.

    Only plain file names are accepted, so no path can lead out of the folder.
    """
    path = folder / SUMS
    if not path.is_file() or path.stat().st_size > 1 << 16:
        raise SecurityRefusal(f"{path}: missing or too long; {_REMEDY}.")
    listed: dict[str, str] = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        match = _SUMS_LINE.fullmatch(line)
        if match is None or match[2] in {*listed, SUMS}:
            raise SecurityRefusal(f"{path}:{number}: not a sha256 with a new file name; {_REMEDY}.")
        listed[match[2]] = match[1]
    return listed
