"""Tests of triggers on simulated fleets that do not change, and on others that drift.

    python benchmarks/proofs.py               200 seeds of each, some minutes on two cores
    python benchmarks/proofs.py --seeds 10    a quick look

A champion (logistic regression on the columns) is trained on the first days of each stream and
stays. From then on each rule of conf/trigger is asked once a day. river's detectors receive the same
rows one by one, in the order in which the rows, or their labels, become known. Without drift, the
share of days on which a rule fires must not exceed the rate that the rule states. With drift, the
number of days until it fires is measured. The figures go to benchmarks/results/proofs.json, or to
`--to`, and the table to docs/proofs.md, or to `--table`. river is in the dev group.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import proofs_page
import table

sys.path.insert(0, str(table.ROOT))

import numpy as np
import polars as pl
from river import drift as river
from river.drift.binary import DDM
from scipy import stats

from cll.components.estimator.logistic import Logistic
from cll.components.label.incident import Incident
from cll.components.source.synthetic import Synthetic
from cll.components.trigger import _time_windows as time_windows
from cll.components.trigger._time_windows import Stretch
from cll.config import components
from cll.pipeline.train.threshold import Threshold, choose
from cll.system import progress
from cll.types.arrays import Floats, Matrix
from cll.types.components import Trigger
from cll.types.triggers import Situation

START, DAY = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1)
ENTITIES, STEP = 20, timedelta(minutes=15)
LEARNT, ASKED, DRIFTS, DAYS = 20, 34, 45, 65  # end of training, first tick, drift, end; in days
CONFIDENCE = 0.99
POINT_MASSES = {  # column: (column that it is computed from, share of rows at the point mass)
    "availability": ("error_rate", 0.999),
    "is_busy": ("cpu_usage", 0.9),
    "waiting": ("response_time", 0.6),
}
FIRST = 1000  # seed; lower seeds were used to choose statistics and scales


@dataclass(frozen=True, eq=False)
class Stream:
    """Labelled rows in order of time, with the champion's scores, columns and threshold."""

    rows: pl.DataFrame
    columns: tuple[str, ...]
    threshold: float

    def at(self, day: int) -> Situation:
        """Return the trigger input at the end of a day, with the labels that are known by then."""
        as_of = START + day * DAY
        known = pl.col("known_at") <= as_of
        rows = time_windows.cut(self.rows, [Stretch(START - DAY, as_of)])[0].with_columns(
            status=pl.when(known).then("status").otherwise(pl.lit("immature")),
            label=pl.when(known).then("label"),
        )
        learnt = START + LEARNT * DAY
        return Situation(
            as_of, lambda: rows, self.columns, "logistic", learnt, learnt, self.threshold
        )


def simulate(seed: int, drift_at: datetime | None) -> Stream:
    """Simulate a fleet, and train a champion on its first days."""
    until = START + DAYS * DAY
    source = Synthetic(seed, START, ENTITIES, STEP, drift_at=drift_at, truth_horizons=())
    pieces = [(piece.table, piece.read().rows) for piece in source(until, [])]
    signals, incidents = (
        pl.concat(rows for kind, rows in pieces if kind == wanted)
        for wanted in ("signals", "incidents")
    )
    columns = source.columns.numeric
    labels = Incident()(signals, incidents, until)
    rows = pl.concat([labels, signals.select(columns)], how="horizontal").sort("time", "entity")
    in_logs = pl.col("error_rate", "response_time").log()
    X = rows.select(columns).with_columns(in_logs).to_numpy().astype(np.float32)
    old = (rows["known_at"] <= START + LEARNT * DAY) & (rows["status"] == "mature")
    y = rows["label"].filter(old).to_numpy().astype(np.float64)
    model = Logistic()(Matrix(X[old.to_numpy()], y, columns), 0)
    p = 1 / (1 + np.exp(-model.margin(X)))
    threshold = choose(Threshold(), p[old.to_numpy()], y, rows.filter(old))
    rows = rows.with_columns(p=pl.Series(p), **with_point_masses(rows))
    return Stream(rows, (*columns, *POINT_MASSES), threshold)


def with_point_masses(rows: pl.DataFrame) -> dict[str, pl.Expr]:
    """Return three more columns for drift: at a ceiling in 99.9 % of rows, of two values, mostly 0.

    They are computed from the fleet's columns, so their rare values come in bursts, as in real data.
    """
    first = rows.filter(pl.col("time") <= START + LEARNT * DAY)
    often = {name: first[column].quantile(share) for name, (column, share) in POINT_MASSES.items()}
    errors, cpu, latency = (pl.col(column) for column, _ in POINT_MASSES.values())
    return {
        "availability": 1.0 - pl.when(errors > often["availability"]).then(errors).otherwise(0.0),
        "is_busy": (cpu > often["is_busy"]).cast(pl.Float64),
        "waiting": (latency - often["waiting"]).clip(lower_bound=0.0),
    }


def rules() -> dict[str, Trigger]:
    """Return the triggers that conf/trigger configures, and variants of them."""
    folder = table.ROOT / "conf" / "trigger"
    drift, decay, cost = (
        components.build("trigger", components.load_yaml(folder / f"{name}.yaml"))[name]
        for name in ("drift", "decay", "cost")
    )
    return {
        "drift": drift,
        "drift, one window": replace(drift, at_least=1, of_last=1),
        "decay": decay,
        "decay, one window": replace(decay, at_least=1, of_last=1),
        "decay of log loss": replace(decay, metric="log_loss"),
        "cost": cost,
    }


PEERS: dict[str, tuple[Callable[[], Any], str]] = {
    "ADWIN of errors": (river.ADWIN, "error"),
    "ADWIN of the score": (river.ADWIN, "score"),
    "DDM of errors": (DDM, "error"),
    "Page-Hinkley of errors": (partial(river.PageHinkley, mode="up"), "error"),
    "Page-Hinkley of the score": (river.PageHinkley, "score"),
}


def ask(trigger: Trigger, situations: Iterable[Situation]) -> tuple[list[bool], float | None]:
    """Return whether the trigger fired at each tick, and its mean stated rate, if it states any."""
    asked = [list(trigger(situation)) for situation in situations]
    stated = [r.false_alarms for reasons in asked for r in reasons if r.false_alarms is not None]
    rate = float(np.mean(stated)) if stated else None
    return [any(reason.fires for reason in reasons) for reasons in asked], rate


def tell(detector: Any, values: Floats, known_at: Floats) -> list[bool]:
    """Return for each tick whether the detector has signalled a drift since the tick before."""
    found = []
    for at, value in zip(known_at.tolist(), values.tolist(), strict=True):
        detector.update(value)
        if detector.drift_detected:
            found.append(at)
    days = np.ceil(np.array(found) / DAY.total_seconds())
    return [bool((days == day).any()) for day in range(ASKED, DAYS + 1)]


def watch(seed: int, drift_at: datetime | None) -> dict[str, tuple[list[bool], float | None]]:
    """Run all rules and river's detectors on one stream."""
    stream = simulate(seed, drift_at)
    situations = [stream.at(day) for day in range(ASKED, DAYS + 1)]
    found = {name: ask(trigger, situations) for name, trigger in rules().items()}
    new = stream.rows.filter(pl.col("time") > START + LEARNT * DAY)
    labelled = new.filter(pl.col("status") == "mature").sort("known_at", maintain_order=True)
    wrong = (labelled["p"] >= stream.threshold) != (labelled["label"] > 0)
    told = {
        "error": (wrong.cast(pl.Float64).to_numpy(), _seconds(labelled["known_at"])),
        "score": (new["p"].to_numpy(), _seconds(new["time"])),
    }
    peers = {name: (tell(make(), *told[what]), None) for name, (make, what) in PEERS.items()}
    return found | peers


def _seconds(instants: pl.Series) -> Floats:
    return (instants - START).dt.total_microseconds().to_numpy() / 1e6


def lower_bound(shares: Sequence[float]) -> float:
    """Return the one-sided lower bound of a rate, from its share in each of several streams.

    Ticks of one stream are not independent, but streams are, so the bound uses one share per stream
    (Student's t).
    """
    spread = np.std(shares, ddof=1) / np.sqrt(len(shares))
    return max(0.0, float(np.mean(shares) - stats.t.ppf(CONFIDENCE, len(shares) - 1) * spread))


def holds(shares: Sequence[float], stated: float) -> bool:
    """Return whether the shares of the streams without drift are consistent with the stated rate."""
    return lower_bound(shares) <= stated


def judge(still: Sequence[Any], drifting: Sequence[Any], name: str) -> dict[str, Any]:
    """Return the figures of one rule over all streams."""
    shares = [float(np.mean(one[name][0])) for one in still]
    rates = [one[name][1] for one in still if one[name][1] is not None]
    stated = float(np.mean(rates)) if rates else None
    first = DRIFTS + 1 - ASKED  # the first tick with data of the drift
    after = [one[name][0][first:] for one in drifting]
    delays = [1 + fired.index(True) for fired in after if any(fired)]
    return {
        "stated": stated,
        "observed": float(np.mean(shares)),
        "lower_bound": lower_bound(shares),
        "holds": None if stated is None else holds(shares, stated),
        "detected": len(delays) / len(drifting),
        "by_chance": float(np.mean([any(one[name][0][first:]) for one in still])),
        "median_delay_days": float(np.median(delays)) if delays else None,
    }


def run(seeds: int, processes: int) -> dict[str, Any]:
    """Run all streams in parallel."""
    drift_at = START + DRIFTS * DAY
    jobs = [(seed, at) for at in (None, drift_at) for seed in range(FIRST, FIRST + seeds)]
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        done = pool.map(watch, *zip(*jobs, strict=True))
        found = list(progress.track(done, "proofs", total=len(jobs)))
    still, drifting = found[:seeds], found[seeds:]
    figures = {name: judge(still, drifting, name) for name in still[0]}
    told = {
        "seeds": seeds,
        "first_seed": FIRST,
        "entities": ENTITIES,
        "step_minutes": STEP // timedelta(minutes=1),
    }
    days = {"learnt": LEARNT, "asked": ASKED, "drifts": DRIFTS, "ends": DAYS}
    return {**told, "days": days, "rules": figures}


def main() -> int:
    parser = table.arguments(__doc__, "proofs")
    parser.add_argument("--table", type=Path, default=table.ROOT / "docs" / "proofs.md")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    found = run(asked.seeds, asked.processes)
    table.keep(found, asked.to)
    asked.table.write_text(proofs_page.written(found), encoding="utf-8")
    refuted = [name for name, one in found["rules"].items() if one["holds"] is False]
    print(f"{asked.table}: " + (f"refuted: {', '.join(refuted)}" if refuted else "all rates hold"))
    return int(bool(refuted))


if __name__ == "__main__":
    sys.exit(main())
