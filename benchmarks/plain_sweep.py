"""Plain script that `sweep.py` measures: a Hydra app in which each job reads, featurizes and fits.

python benchmarks/plain_sweep.py -m folder=DIR estimator=logistic,lightgbm features=kpi,windows
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import polars as pl
import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING
from plain_loop import KPIS, NO_SETTING_OF_LIGHTGBM, featurized, folds, parted, read
from table import ROOT


@dataclass
class Config:
    folder: str = MISSING
    estimator: str = "lightgbm"
    features: str = "windows"
    seed: int = 0


ConfigStore.instance().store("plain", node=Config)


@hydra.main(version_base=None, config_path=None, config_name="plain")
def job(cfg: Config) -> None:
    """Fit four forward-chained folds and one model on all training rows, and score the holdout."""
    from sklearn.metrics import average_precision_score  # noqa: PLC0415  as late as possible

    rows, incidents = read(Path(cfg.folder))
    made = featurized(rows) if cfg.features == "windows" else rows.select(KPIS).cast(pl.Float32)
    X, y, times, learnt, held = parted(rows, incidents, made)
    X = np.where(np.isfinite(X), X, np.nan)
    fit = _lightgbm if cfg.estimator == "lightgbm" else _logistic
    p = fit(X[learnt], y[learnt], times[learnt], X[held], cfg.seed)
    print(f"average_precision {average_precision_score(y[held], p):.4f}")


def _logistic(X: Any, y: Any, times: Any, held: Any, _: int) -> Any:
    from sklearn.impute import SimpleImputer  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    def fitted(part: Any) -> Any:
        impute = SimpleImputer(strategy="median", add_indicator=True)
        solve = LogisticRegression(solver="newton-cholesky", max_iter=1000, tol=1e-8)
        return make_pipeline(impute, StandardScaler(), solve).fit(X[part], y[part])

    for past, out in folds(y, times):
        fitted(past).predict_proba(X[out])
    return fitted(slice(None)).predict_proba(held)[:, 1]


def _lightgbm(X: Any, y: Any, times: Any, held: Any, seed: int) -> Any:
    import lightgbm as lgb  # noqa: PLC0415

    chosen = yaml.safe_load((ROOT / "conf/estimator/lightgbm.yaml").read_text(encoding="utf-8"))
    options = {k: v for k, v in chosen.items() if k not in NO_SETTING_OF_LIGHTGBM}
    options |= {"objective": "binary", "metric": "binary_logloss", "bagging_freq": 1, "seed": seed}
    options |= {"verbosity": -1}
    weights = np.where(y == 1, math.sqrt((y == 0).sum() / (y == 1).sum()), 1.0)

    def dataset(part: Any, reference: Any = None) -> Any:
        return lgb.Dataset(X[part], y[part], weight=weights[part], reference=reference)

    rounds = []
    for past, out in folds(y, times):
        data, stop = dataset(past), lgb.early_stopping(chosen["patience"], verbose=False)
        valid = [dataset(out, data)]
        fold = lgb.train(options, data, chosen["max_rounds"], valid, callbacks=[stop])
        rounds.append(fold.best_iteration)
    model = lgb.train(options, dataset(slice(None)), math.ceil(np.median(rounds)))
    return model.predict(held)


if __name__ == "__main__":
    job()
