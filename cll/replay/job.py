"""Replay as a job: run all ticks, then write the figures of what the loop would have done."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from cll.config import components
from cll.config.project import Tree, load_world
from cll.pipeline import stage_cache
from cll.pipeline.compose import compose
from cll.pipeline.dataset import point_in_time
from cll.replay import fit_cache, prequential, replay, tick_grid
from cll.replay.log import ReplayLog, TickRecord
from cll.replay.prequential import Predictions, Stream
from cll.system import disk, frames, progress
from cll.system.content_cache import ContentCache
from cll.system.workspace import Workspace
from cll.types.directions import directions_of

FIGURES, OVER_TIME, SCORES = "replay.json", "over_time.csv", "scores.parquet"


def run(
    root: Path,
    folder: Path,
    tree: Tree,
    report: Callable[[float], None],
    *,
    with_page: bool = True,
) -> float | None:
    """Replay the whole history into `folder`, resuming a replay that was interrupted there.

    Returns the prequential value of the gate's metric; None where it is not defined.
    """
    del report, with_page  # only an experiment uses them
    ws, world = Workspace(root, folder), load_world(Workspace(root))
    disk.write_bytes(ws.resolved, compose.render(tree).encode())
    ws = stage_cache.data(ws, tree, world)
    settings, cache = components.build("replay", tree["replay"]), ContentCache(ws.cache / "store")
    fitter = fit_cache.shared_fitter(ws, tree, cache.get_or_make)
    history = replay.History(point_in_time.load(ws), tree, fitter)
    ticks = tick_grid.between(*point_in_time.span(history.data, tree, world.as_of), settings)
    log = ReplayLog(folder)
    left = len(ticks) - len(log.records)
    for record in progress.track(replay.run_ticks(history, ticks, log), "replay", left):
        if record.released:
            progress.note(f"replay: {record.as_of}: released {record.candidate}: {record.says}")
    stream = prequential.build_stream(history.data, tree, ticks)
    figures = _write_figures(history, stream, log)
    metric = figures["policy"].get(tree["gate"]["metric"])
    return None if metric is None else float(metric)


def _write_figures(history: replay.History, stream: Stream, log: ReplayLog) -> dict[str, Any]:
    """Compute and write replay.json, over_time.csv and scores.parquet; return replay.json."""
    tree, records = history.tree, log.records
    metrics = components.build("metric", tree["metric"])
    settings = components.build("replay", tree["replay"])
    policies = prequential.predict(stream, prequential.champions_by_policy(records), log.load_model)
    own = policies["policy"]
    by_policy: dict[str, dict[str, float]] = {
        name: prequential.figures(stream, predictions, metrics)
        for name, predictions in policies.items()
    }
    no_change = Predictions(stream.persists, stream.unchanged > 0)
    by_policy["no_change"] = prequential.figures(stream, no_change, metrics)
    others = {name: values for name, values in by_policy.items() if name != "policy"}
    over_time = prequential.over_time(stream, own, metrics, records, settings.window)
    frames.write_csv(log.folder / OVER_TIME, over_time)
    frames.write_frame(log.folder / SCORES, _scores(stream, own, records))
    figures = {
        **by_policy,
        "regret": prequential.regret(
            by_policy["policy"], others, tree["gate"]["metric"], directions_of(metrics)
        ),
        "events": prequential.event_figures(stream, own, history.data, tree),
        "counts": _counts(stream, records),
        "cost": _cost(records),
    }
    disk.write_json(log.folder / FIGURES, figures)
    return figures


def _scores(stream: Stream, own: Predictions, records: Sequence[TickRecord]) -> pl.DataFrame:
    champions = pl.Series([record.champion for record in records])
    keys = ("entity", "time", "label")
    return stream.rows.select(*keys, label_known_at="known_at").with_columns(
        p=pl.Series(own.p),
        alert=pl.Series(own.alert),
        champion=champions.gather(pl.Series(stream.tick)),
    )


def _counts(stream: Stream, records: Sequence[TickRecord]) -> dict[str, Any]:
    answers = [record.answer for record in records if record.answer]
    return {
        "rows": stream.rows.height,
        "positives": int(stream.X.y.sum()),
        "ticks": len(records),
        "ticks_with_a_model": sum(record.champion != "none" for record in records),
        "trainings": sum(record.trained for record in records),
        "releases": sum(record.released for record in records),
        "rejected": answers.count("reject"),
        "undecided": answers.count("not enough evidence"),
        "refused": answers.count("refused"),
    }


def _cost(records: Sequence[TickRecord]) -> Mapping[str, float]:
    """Return the sums of CPU seconds; unlike the other figures they differ from run to run."""
    train = sum(record.train_seconds for record in records)
    judge = sum(record.judge_seconds for record in records)
    return {"train_seconds": round(train, 3), "judge_seconds": round(judge, 3)}
