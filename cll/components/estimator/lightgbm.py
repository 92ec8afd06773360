"""Gradient-boosted trees from one booster or several; any number of threads gives the same bytes."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Interval

from cll.components.estimator._lightgbm_data import binned, library, scorable, weighted
from cll.types.arrays import Features, Floats, Matrix
from cll.types.errors import DataRefused

FILE = "model.txt"
# Lines of a booster's text that depend on the machine and not on the model.
VOLATILE = re.compile(r"^\[(num_threads|data|valid|machines): .*\]\n", re.MULTILINE)


@dataclass(frozen=True)
class LightGBMModel:
    """Boosters in LightGBM's text format, and column names, some of which that format can't hold."""

    texts: tuple[str, ...]  # one for each member; the log-odds are the members' mean
    names: tuple[str, ...]
    passes: int = field(default=0, compare=False)

    @cached_property
    def _boosters(self) -> tuple[Any, ...]:
        lgb = library()
        return tuple(lgb.Booster(model_str=text) for text in self.texts)

    @property
    def rounds(self) -> int:
        return int(self._boosters[0].num_trees())

    @property
    def importance(self) -> dict[str, float]:
        """Return each feature's share in the gain of all members' splits.

        0 for all if no tree has a split.
        """
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


def load(parts: Mapping[str, Any], files: Mapping[str, bytes]) -> LightGBMModel:
    """Load a model from its `parts`.

    Call it only with checked files, since a damaged one can abort the process.
    """
    texts = tuple(files[name].decode() for name in _files(parts["members"]))
    return LightGBMModel(texts, tuple(parts["names"]))


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
    online_rounds: Annotated[int, Interval(ge=1, le=1000)] = 5
    online_rate: Annotated[float, Interval(gt=0, le=1)] = 0.02

    def __call__(
        self, train: Matrix, seed: int, valid: Matrix | None = None, rounds: int | None = None
    ) -> LightGBMModel:
        """Fit on `train`; stop early by the log loss of `valid`, weighted like `train`.

        Only the first member stops early; the other members run as many rounds.
        """
        _refuse_single_class(train)
        lgb = library()
        weight = self._weight(train.y)
        data = weighted(binned(lgb, train, self._binning), train, weight)
        first, *others = (self._options(seed * self.members + k) for k in range(self.members))
        if valid is None:
            rounds = rounds or self.max_rounds
            boosters = [lgb.train(first, data, num_boost_round=rounds)]
        else:
            held = weighted(binned(lgb, valid, self._binning, as_in=(train, data)), valid, weight)
            stop = lgb.early_stopping(self.patience, verbose=False)
            boosters = [lgb.train(first, data, self.max_rounds, [held], callbacks=[stop])]
            rounds = boosters[0].best_iteration
        boosters += [lgb.train(options, data, num_boost_round=rounds) for options in others]
        passes = sum(booster.current_iteration() for booster in boosters)
        return LightGBMModel(
            tuple(_text(member, rounds) for member in boosters), train.names, passes
        )

    def warm(
        self,
        base: LightGBMModel,
        train: Matrix,
        seed: int,
        valid: Matrix | None = None,
        rounds: int | None = None,
    ) -> LightGBMModel:
        """Add trees to each member of `base`, until the log loss of `valid` stops improving."""
        _refuse_single_class(train)
        self._refuse_other(base)
        lgb, weight = library(), self._weight(train.y)
        data = scorable(lgb, train, weight, self._binning)
        more: dict[str, Any] = {}
        if valid is not None:
            held = scorable(lgb, valid, weight, self._binning, data)
            stop = lgb.early_stopping(self.patience, verbose=False)
            more = {"valid_sets": [held], "callbacks": [stop]}
        texts, passes = [], 0
        for k, text in enumerate(base.texts):
            options, before = self._options(seed * self.members + k), lgb.Booster(model_str=text)
            count = self.max_rounds if rounds is None else max(1, rounds - base.rounds)
            booster = lgb.train(options, data, count, init_model=before, **more)
            kept = booster.best_iteration if more else booster.num_trees()
            texts.append(_text(booster, kept))
            rounds, more = rounds or kept, {}  # the first member alone stops early
            passes += booster.current_iteration() - before.num_trees()
        return LightGBMModel(tuple(texts), train.names, passes)

    def step(self, base: LightGBMModel, part: Matrix, seed: int) -> LightGBMModel:
        """Add a few small trees; with too few rows for two leaves the model stays unchanged."""
        self._refuse_other(base)
        lgb, weight = library(), self._weight(part.y)
        # The same gradients as objective binary, which ignores rows that are all of one class.
        step_options = {"objective": "cross_entropy", "learning_rate": self.online_rate}
        data = scorable(lgb, part, weight, self._binning)
        texts = []
        for k, text in enumerate(base.texts):
            options, before = self._options(seed * self.members + k), lgb.Booster(model_str=text)
            booster = lgb.train(options | step_options, data, self.online_rounds, init_model=before)
            texts.append(_text(booster, booster.num_trees()))
        return LightGBMModel(tuple(texts), base.names, self.online_rounds * self.members)

    def _refuse_other(self, base: LightGBMModel) -> None:
        """Refuse a champion with another number of members: each member continues from its own."""
        if len(base.texts) != self.members:
            raise DataRefused(
                f"The champion has {len(base.texts)} members, where estimator.members={self.members}:"
                " each member has to continue from its own; choose update=full once."
            )

    def _weight(self, y: Floats) -> float:
        """Return the weight of a positive row, where a negative one weighs 1."""
        negative, positive = float((y == 0).sum()), float((y == 1).sum())
        odds = negative / positive if negative and positive else 1.0
        weights = {"none": 1.0, "sqrt": math.sqrt(odds), "balanced": odds}
        return weights[self.positive_weight]

    @property
    def _binning(self) -> dict[str, Any]:
        """Return all parameters that the histogram bins depend on.

        Seed and leaf size do not affect them.
        """
        return {
            "max_bin": self.max_bin,
            "bin_construct_sample_cnt": self.bin_construct_sample_cnt,
            "data_random_seed": 1,
            "feature_pre_filter": False,
        }

    def _options(self, seed: int) -> dict[str, Any]:
        own = {"max_rounds", "members", "patience", "positive_weight"}
        own |= {"online_rounds", "online_rate"}
        return {key: value for key, value in vars(self).items() if key not in own} | {
            **self._binning,
            "objective": "binary",
            "metric": "binary_logloss",
            "bagging_freq": 1,
            "seed": seed % 2**31,  # all other seeds of LightGBM follow from it, except that of bins
            "deterministic": True,
            # Each column is summed by one thread in row order, so the number of threads is irrelevant.
            "force_col_wise": True,
            "verbosity": -1,
        }


def _refuse_single_class(train: Matrix) -> None:
    """Refuse training rows that do not have both classes."""
    labels = np.unique(train.y).tolist()
    if labels != [0.0, 1.0]:
        raise DataRefused(
            f"The {len(train.y)} training rows hold the labels {labels[:5]}, where both 0 and 1"
            " are needed: widen the data's span or change the label."
        )


def _text(booster: Any, rounds: int) -> str:
    text = booster.model_to_string(num_iteration=rounds, importance_type="gain")
    return VOLATILE.sub("", text)
