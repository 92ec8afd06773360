"""Gradient-boosted trees, one booster or several, whatever the number of threads to the byte."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Interval

from cll.errors import DataRefused, Unavailable
from cll.values import Features, Floats, Matrix

FILE = "model.txt"
# What the text tells of the machine and not of the model.
VOLATILE = re.compile(r"^\[(num_threads|data|valid|machines): .*\]\n", re.MULTILINE)


def _library() -> Any:
    """Import LightGBM so that its idle threads sleep.

    They spin by default: with two threads on two busy cores a fit of 2 s took over 60 s.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import lightgbm  # noqa: PLC0415  half a second, and only this choice needs it

    return lightgbm


@dataclass(frozen=True)
class Model:
    """LightGBM's own texts, and the names of their columns, which those can't always hold."""

    texts: tuple[str, ...]  # a member each: the log-odds are their mean
    names: tuple[str, ...]
    passes: int = field(default=0, compare=False)

    @cached_property
    def _boosters(self) -> tuple[Any, ...]:
        library = _library()
        return tuple(library.Booster(model_str=text) for text in self.texts)

    @property
    def rounds(self) -> int:
        return int(self._boosters[0].num_trees())

    @property
    def importance(self) -> dict[str, float]:
        """Share of each feature in the gain of all members' splits; all 0 if nothing is split."""
        gains = sum(booster.feature_importance("gain") for booster in self._boosters)
        total = float(gains.sum()) or 1.0
        return {
            name: round(float(gain) / total, 9)
            for name, gain in zip(self.names, gains, strict=True)
        }

    def margin(self, X: Features) -> Floats:
        total = np.zeros(len(X))
        if len(X):
            for booster in self._boosters:
                total += booster.predict(X, raw_score=True)
        return total / len(self.texts)

    def parts(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        members = len(self.texts)
        files = dict(zip(_files(members), map(str.encode, self.texts), strict=True))
        return {"members": members, "names": list(self.names)}, files


def load(parts: Mapping[str, Any], files: Mapping[str, bytes]) -> Model:
    """Read back what `Model.parts` gave; a damaged text can abort the process, so check it first."""
    texts = tuple(files[name].decode() for name in _files(parts["members"]))
    return Model(texts, tuple(parts["names"]))


def _files(members: int) -> list[str]:
    return [FILE] if members == 1 else [f"model-{number}.txt" for number in range(members)]


@dataclass(frozen=True)
class LightGBM:
    num_leaves: Annotated[int, Interval(ge=2, le=4096)] = 15
    max_depth: Annotated[int, Interval(ge=-1, le=64)] = -1
    learning_rate: Annotated[float, Interval(gt=0, le=1)] = 0.07
    max_rounds: Annotated[int, Interval(ge=1, le=100_000)] = 600
    patience: Annotated[int, Ge(1)] = 30
    positive_weight: Literal["none", "sqrt", "balanced"] = "sqrt"
    min_data_in_leaf: Annotated[int, Ge(1)] = 50
    lambda_l1: Annotated[float, Ge(0)] = 0.0
    lambda_l2: Annotated[float, Ge(0)] = 10.0
    feature_fraction: Annotated[float, Interval(gt=0, le=1)] = 0.3
    bagging_fraction: Annotated[float, Interval(gt=0, le=1)] = 0.8
    max_bin: Annotated[int, Interval(ge=2, le=65_535)] = 127
    bin_construct_sample_cnt: Annotated[int, Ge(1)] = 50_000
    members: Annotated[int, Interval(ge=1, le=100)] = 1
    min_gain_to_split: Annotated[float, Ge(0)] = 0.0
    path_smooth: Annotated[float, Ge(0)] = 0.0

    def __call__(
        self, train: Matrix, seed: int, valid: Matrix | None = None, rounds: int | None = None
    ) -> Model:
        """Fit on `train`; stop at the log loss of `valid`, weighted as `train` is.

        The first member finds when to stop, and the others run as many rounds.
        """
        _refuse_unteachable(train)
        lgb = _library()
        weight = self._weight(train.y)
        data = _weighted(_binned(lgb, train, self._binning), train, weight)
        first, *others = (self._options(seed * self.members + k) for k in range(self.members))
        if valid is None:
            rounds = rounds or self.max_rounds
            boosters = [lgb.train(first, data, num_boost_round=rounds)]
        else:
            binned = _binned(lgb, valid, self._binning, as_in=(train, data))
            held = _weighted(binned, valid, weight)
            stop = lgb.early_stopping(self.patience, verbose=False)
            boosters = [lgb.train(first, data, self.max_rounds, [held], callbacks=[stop])]
            rounds = boosters[0].best_iteration
        boosters += [lgb.train(own, data, num_boost_round=rounds) for own in others]
        passes = sum(booster.current_iteration() for booster in boosters)
        return Model(tuple(_text(one, rounds) for one in boosters), train.names, passes)

    def _weight(self, y: Floats) -> float:
        """Return the weight of a positive row, where a negative one weighs 1."""
        odds = float((y == 0).sum() / (y == 1).sum())
        weights = {"none": 1.0, "sqrt": math.sqrt(odds), "balanced": odds}
        return weights[self.positive_weight]

    @property
    def _binning(self) -> dict[str, Any]:
        """All that decides on bins: neither the seed nor the size of a leaf does."""
        return {
            "max_bin": self.max_bin,
            "bin_construct_sample_cnt": self.bin_construct_sample_cnt,
            "data_random_seed": 1,
            "feature_pre_filter": False,
        }

    def _options(self, seed: int) -> dict[str, Any]:
        own = {"max_rounds", "members", "patience", "positive_weight"}
        return {key: value for key, value in vars(self).items() if key not in own} | {
            **self._binning,
            "objective": "binary",
            "metric": "binary_logloss",
            "bagging_freq": 1,
            "seed": seed % 2**31,  # every other seed of LightGBM's but that of the bins follows
            "deterministic": True,
            # One thread sums a column, in the order of its rows: any number of threads agrees.
            "force_col_wise": True,
            "verbosity": -1,
        }


def _refuse_unteachable(train: Matrix) -> None:
    """Refuse rows that do not show both outcomes."""
    seen = np.unique(train.y).tolist()
    if seen != [0.0, 1.0]:
        raise DataRefused(
            f"The {len(train.y)} training rows hold the labels {seen[:5]}, where both 0 and 1"
            " are needed: widen the data's span or change the label."
        )


def _binned(
    lgb: Any, rows: Matrix, binning: Mapping[str, Any], as_in: tuple[Matrix, Any] | None = None
) -> Any:
    """Put each value into its bin: found on these rows, or as in other rows and their data set.

    Weights decide on no bin, so jobs that weight their rows otherwise share what is kept.
    """
    reference = None if as_in is None else as_in[1]
    params = {**binning, "verbosity": -1}

    def afresh() -> Any:
        X = np.ascontiguousarray(rows.X, dtype=np.float32)
        return lgb.Dataset(X, label=rows.y, reference=reference, params=dict(params)).construct()

    def read(path: Path) -> Any:
        return lgb.Dataset(str(path), reference=reference, params=dict(params)).construct()

    def make(path: Path) -> None:
        try:
            afresh().save_binary(path)
            read(path)  # LightGBM does not look whether the last bytes came to the disk
        except lgb.basic.LightGBMError as error:
            raise Unavailable(f"{path}: can't be written: {error}; see to the disk.") from None

    if rows.keep is None:
        return afresh()
    bins_of = rows if as_in is None else as_in[0]
    by = {"lightgbm": lgb.__version__, **binning}
    return read(rows.keep({"rows": rows.sha256, "bins_of": bins_of.sha256, "by": by}, make))


def _weighted(binned: Any, rows: Matrix, weight: float) -> Any:
    """Weight each row here, not by `scale_pos_weight`, which would leave `valid` unweighted."""
    return binned.set_weight(np.where(rows.y == 1, weight, 1.0))


def _text(booster: Any, rounds: int) -> str:
    text = booster.model_to_string(num_iteration=rounds, importance_type="gain")
    return VOLATILE.sub("", text)
