"""A replay as a job: from the project's data to what the loop would have done, and how well."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from cll.config import components
from cll.config.project import Tree, load_world
from cll.pipeline import stage_cache
from cll.pipeline.compose import compose
from cll.pipeline.dataset import point_in_time
from cll.replay import fit_cache, prequential, replay, tick_grid
from cll.replay.log import Diary
from cll.replay.prequential import Answers, Stream
from cll.system import disk, frames, progress
from cll.system.content_cache import Shelf
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
    """Turn over the whole history into `folder`, from where it was broken off there.

    Returns the gate's metric, prequential, where it is defined.
    """
    del report, with_page  # an experiment's
    ws, world = Workspace(root, folder), load_world(Workspace(root))
    disk.write_bytes(ws.resolved, compose.render(tree).encode())
    ws = stage_cache.data(ws, tree, world)
    settings, kept_fits = components.build("replay", tree["replay"]), Shelf(ws.cache / "store")
    history = replay.History(
        point_in_time.load(ws), tree, fit_cache.shared(ws, tree, kept_fits.keep)
    )
    ticks = tick_grid.between(*point_in_time.span(history.known, tree, world.as_of), settings)
    diary = Diary(folder)
    left = len(ticks) - len(diary.turns)
    for turn in progress.track(replay.over(history, ticks, diary), "replay", left):
        if turn.released:
            progress.note(f"replay: {turn.as_of}: released {turn.candidate}: {turn.says}")
    came = prequential.stream(history.known, tree, ticks)
    told = _figures(history, came, diary)
    disk.write_json(folder / FIGURES, told)
    figure = told["policy"].get(tree["gate"]["metric"])
    return None if figure is None else float(figure)


def _figures(history: replay.History, came: Stream, diary: Diary) -> dict[str, Any]:
    """Compute what replay.json has, and write what lies beside it."""
    tree, turns = history.tree, diary.turns
    metrics = components.build("metric", tree["metric"])
    settings = components.build("replay", tree["replay"])
    policies = prequential.answers(came, prequential.in_force(turns), diary.model)
    own = policies["policy"]
    found: dict[str, dict[str, float]] = {
        name: prequential.figures(came, given, metrics) for name, given in policies.items()
    }
    persists = Answers(came.persists, came.unchanged > 0)
    found["no_change"] = prequential.figures(came, persists, metrics)
    metric = tree["gate"]["metric"]
    others = {name: told for name, told in found.items() if name != "policy"}
    over_time = prequential.over_time(came, own, metrics, turns, settings.window)
    frames.write_csv(diary.folder / OVER_TIME, over_time)
    frames.write_frame(diary.folder / SCORES, _scores(came, own, turns))
    return {
        **found,
        "regret": prequential.regret(found["policy"], others, metric, directions_of(metrics)),
        "events": prequential.of_events(came, own, history.known, tree),
        "counts": _counts(came, diary),
        "cost": _cost(diary),
    }


def _scores(came: Stream, own: Answers, turns: Any) -> pl.DataFrame:
    champions = pl.Series([turn.champion for turn in turns])
    keys = ("entity", "time", "label")
    return came.rows.select(*keys, label_known_at="known_at").with_columns(
        p=pl.Series(own.p),
        alert=pl.Series(own.alert),
        champion=champions.gather(pl.Series(came.tick)),
    )


def _counts(came: Stream, diary: Diary) -> dict[str, Any]:
    turns = diary.turns
    served = sum(turn.champion != "none" for turn in turns)
    answers = [turn.answer for turn in turns if turn.answer]
    return {
        "rows": came.rows.height,
        "positives": int(came.X.y.sum()),
        "ticks": len(turns),
        "ticks_with_a_model": served,
        "trainings": sum(turn.trained for turn in turns),
        "releases": sum(turn.released for turn in turns),
        "rejected": answers.count("reject"),
        "undecided": answers.count("not enough evidence"),
        "refused": answers.count("refused"),
    }


def _cost(diary: Diary) -> Mapping[str, float]:
    """Sum up the processor's seconds: these are no result, and differ from run to run."""
    train = sum(turn.train_seconds for turn in diary.turns)
    judge = sum(turn.judge_seconds for turn in diary.turns)
    return {"train_seconds": round(train, 3), "judge_seconds": round(judge, 3)}
