"""Plain script that `end_to_end.py` measures: the steps of cll, as in a notebook."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from table import ROOT

START = datetime(2026, 1, 1, tzinfo=UTC)
AS_OF = START + timedelta(days=30)
KPIS = ("cpu_usage", "error_rate", "memory_usage", "response_time")
WIDTHS = ("30m", "3h")
HORIZON, EMBARGO = timedelta(minutes=30), timedelta(minutes=40)
HOLDOUT, FOLDS, LEAST_PAST = 0.25, 4, 3
NO_SETTING_OF_LIGHTGBM = {"_target_", "max_rounds", "members", "patience", "positive_weight"}


def plain(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run the same steps as cll, as in a notebook."""
    rows, incidents = read(folder)
    yield "ingest", {}
    made = featurized(rows)
    yield "featurize", {}
    X, y, times, learnt, held = parted(rows, incidents, made)
    times = times[learnt]
    fitted = _fitted(X[learnt], y[learnt], times, X[held])
    yield "train", {}
    counts = {"rows": int(learnt.sum()), "positives": int(y[learnt].sum())}
    yield "", counts | {"features": made.width} | fitted


def read(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = pl.concat(
        pl.read_csv(path, try_parse_dates=True) for path in sorted(folder.glob("signals/*.csv"))
    )
    incidents = pl.read_csv(folder / "incidents.csv", try_parse_dates=True)
    return rows.sort("entity", "time"), incidents.sort("start")


def parted(rows: pl.DataFrame, incidents: pl.DataFrame, made: pl.DataFrame) -> tuple[Any, ...]:
    """Return X, y, times, and masks of the training rows and the held-out rows."""
    rows = labelled(rows.select("entity", "time"), incidents)
    made = made.filter(rows["keep"])
    rows = rows.filter("keep")
    boundary = rows["time"].sort()[int(rows.height * (1 - HOLDOUT))]
    learnt = (rows["time"] + EMBARGO <= boundary).to_numpy()
    held = (rows["time"] >= boundary).to_numpy()
    X, y = made.to_numpy(order="c"), rows["label"].to_numpy().astype(np.float64)
    return X, y, rows["time"].dt.epoch("us").to_numpy(), learnt, held


def featurized(rows: pl.DataFrame) -> pl.DataFrame:
    hours = (pl.col("time") - START).dt.total_microseconds() / 3.6e9
    told = rows.with_columns(
        made
        for c in KPIS
        for t in (pl.when(pl.col(c).is_not_null()).then(hours),)
        for made in (
            t.alias(f"{c}_t"),
            (pl.col(c) * t).alias(f"{c}_xt"),
            (t * t).alias(f"{c}_tt"),
            pl.col(c).is_null().cast(pl.Float64).alias(f"{c}_null"),
        )
    )
    own = [made for c in KPIS for made in _own(c)]
    windows = [made for end in WIDTHS for c in KPIS for made in _in_window(c, end)]
    peers = [made for c in KPIS for made in _among_peers(c)]
    # In the order of cll's columns, because LightGBM samples columns by number.
    return told.select(*KPIS, *own, *windows, *peers).cast(pl.Float32)


def _own(c: str) -> Iterator[pl.Expr]:
    x = pl.col(c)
    yield pl.col(f"{c}_null").alias(f"{c}_missing")
    for k in (1, 2, 3):
        yield x.shift(k).over("entity").alias(f"{c}_lag_{k}")
    yield (x - x.shift(1).over("entity")).alias(f"{c}_change")


def _among_peers(c: str) -> Iterator[pl.Expr]:
    x = pl.col(c)
    yield ((x.rank() - 1) / (x.count() - 1)).over("time").alias(f"{c}_rank")
    yield (x / x.median().over("time")).alias(f"{c}_ratio")


def _in_window(c: str, end: str) -> Iterator[pl.Expr]:
    def rolled(name: str, how: str, closed: Any = "right") -> pl.Expr:
        call = getattr(pl.col(name), f"rolling_{how}_by")
        return call("time", end, closed=closed).over("entity")  # type: ignore[no-any-return]

    for how in ("mean", "std", "min", "max"):
        yield rolled(c, how).alias(f"{c}_{how}_{end}")
    x, t, xt, tt = (rolled(c + part, "mean") for part in ("", "_t", "_xt", "_tt"))
    yield ((xt - x * t) / (tt - t * t)).alias(f"{c}_slope_{end}")
    before, spread = (
        pl.col(c).rolling_mean_by("time", end, closed="none", min_samples=1).over("entity"),
        pl.col(c).rolling_std_by("time", end, closed="none", min_samples=LEAST_PAST).over("entity"),
    )
    yield ((pl.col(c) - before) / spread).alias(f"{c}_z_{end}")
    yield (pl.col(c) / before).alias(f"{c}_ratio_{end}")
    yield (pl.col(c) - before).alias(f"{c}_change_{end}")
    yield rolled(f"{c}_null", "mean").alias(f"{c}_missing_{end}")


def labelled(rows: pl.DataFrame, incidents: pl.DataFrame) -> pl.DataFrame:
    """Add the label, and a mask of the training rows: rows outside of incidents with a known label."""
    keys: Any = {"left_on": "time", "right_on": "start", "by": "entity", "check_sortedness": False}
    times = incidents.filter(pl.col("known_at") <= AS_OF).select("entity", "start", "end")
    ordered = rows.with_row_index("row").sort("time", "row")
    ahead = ordered.join_asof(
        times, strategy="forward", allow_exact_matches=False, coalesce=False, **keys
    )
    running = ordered.join_asof(times, strategy="backward", coalesce=False, **keys)
    within = running.select(
        pl.col("start").is_not_null() & (pl.col("time") < pl.col("end").fill_null(AS_OF))
    ).to_series()
    soon = (pl.col("start") <= pl.col("time") + HORIZON).fill_null(value=False)
    told = ahead.with_columns(
        label=soon.cast(pl.Int8), keep=~within & (ahead["time"] + EMBARGO <= AS_OF)
    )
    return told.sort("row")


def _fitted(X: Any, y: Any, times: Any, held: Any) -> dict[str, Any]:
    import lightgbm as lgb  # noqa: PLC0415  cll doesn't pay for it
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.metrics import precision_recall_curve, roc_auc_score  # noqa: PLC0415

    chosen = yaml.safe_load((ROOT / "conf/estimator/lightgbm.yaml").read_text(encoding="utf-8"))
    options = {k: v for k, v in chosen.items() if k not in NO_SETTING_OF_LIGHTGBM}
    options |= {"objective": "binary", "metric": "binary_logloss", "bagging_freq": 1, "seed": 0}
    options |= {"deterministic": True, "force_col_wise": True, "verbosity": -1}

    def dataset(part: Any, weight: float, reference: Any = None) -> Any:
        weights = np.where(y[part] == 1, weight, 1.0)
        return lgb.Dataset(X[part], y[part], weight=weights, reference=reference, params=options)

    margin, rounds = np.full(len(y), np.nan), []
    for past, out in folds(y, times):
        weight = math.sqrt((y[past] == 0).sum() / (y[past] == 1).sum())
        data = dataset(past, weight)
        stop = lgb.early_stopping(chosen["patience"], verbose=False)
        valid = dataset(out, weight, data)
        fold = lgb.train(options, data, chosen["max_rounds"], [valid], callbacks=[stop])
        margin[out] = fold.predict(X[out], raw_score=True)
        rounds.append(fold.best_iteration)
    weight = math.sqrt((y == 0).sum() / (y == 1).sum())
    model = lgb.train(options, dataset(slice(None), weight), math.ceil(np.median(rounds)))
    seen = np.isfinite(margin)
    platt = LogisticRegression(C=1e9).fit(margin[seen][:, None], y[seen])
    p = platt.predict_proba(margin[seen][:, None])[:, 1]
    precision, recall, cuts = precision_recall_curve(y[seen], p)
    both = np.maximum(precision + recall, 1e-9)[:-1]
    cut = cuts[np.argmax(2 * precision[:-1] * recall[:-1] / both)]
    alerts = platt.predict_proba(model.predict(held, raw_score=True)[:, None])[:, 1] >= cut
    model.save_model("model.txt")
    auc = round(float(roc_auc_score(y[seen], p)), 6)
    return {"fold_rounds": str(rounds), "out_of_fold_auc": auc, "alerts": int(alerts.sum())}


def folds(y: Any, times: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (earlier rows, held-out rows), with equal numbers of positives in each held-out part."""
    order = np.argsort(times, kind="stable")
    so_far = np.cumsum(y[order] == 1)
    wanted = so_far[-1] * np.arange(1, FOLDS + 1) / (FOLDS + 1)
    instants = np.unique(times)
    after = np.searchsorted(instants, times[order][np.searchsorted(so_far, wanted)], side="right")
    starts = instants[after]
    for start, end in zip(starts, [*starts[1:], times.max() + 1], strict=True):
        yield times < start - EMBARGO // timedelta(microseconds=1), (times >= start) & (times < end)
