"""Comparison of replays with a forest that is trained row by row, and with bare fits of the same trainings.

    python benchmarks/replay.py               some ten minutes
    python benchmarks/replay.py --days 20 --data none     a minute, without the published stream

- `forest` is river's adaptive random forest with ten trees on the published electricity stream: each
  row is predicted, then trained on at once.
- `cll replay experiment=electricity` predicts the same rows, once in an empty project and once in a
  project that has signals and features, but no fits.
- `policies` is a sweep of replays over a simulated fleet that drifts.
- `bare` runs the fits of the sweep's trainings, separately for each policy, and scores the policy's
  rows, on matrices in memory. Its seconds are divided by the number of processors.

The figures go to benchmarks/results/replay.json.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from table import ROOT, alone, arguments, keep, project, show

DATA = ROOT.parent / "shared" / "data" / "electricity"
START = datetime(2026, 1, 1, tzinfo=UTC)
TREES, GOALS = 10, {"forest": 3.0, "bare": 1.3}
POLICIES = ("trigger=never,weekly,drift,decay,cost", "update=full,warm,online")
ACCURACY = {"now": 0.914, "late": 0.82}


def forest(data: Path) -> dict[str, Any]:
    """Predict each row, then train on it, with the raw columns as published."""
    import polars as pl  # noqa: PLC0415  in a process of its own
    from river.forest import ARFClassifier  # noqa: PLC0415

    rows = pl.read_csv(next(data.glob("*.csv.gz")))
    outcomes, columns = rows["class"].to_list(), rows.drop("class").to_dicts()
    model, right = ARFClassifier(n_models=TREES, seed=0), 0
    began = time.perf_counter()
    for outcome, row in zip(outcomes, columns, strict=True):
        right += model.predict_one(row) == outcome
        model.learn_one(row, outcome)
    took = time.perf_counter() - began
    return {"rows": rows.height, "accuracy": right / rows.height, "stream_s": took}


def stream(home: Path, data: Path) -> dict[str, Any]:
    """Replay the published stream by both protocols; the first one also with its features in place."""
    project(home, "2026-01-31T00:00:00Z", {"set": {}})
    found = {}
    for name, words in (("from_nothing", []), ("now", []), ("late", ["label.delay=48"])):
        command = [sys.executable, "-m", "cll", "replay", "experiment=electricity", *words]
        out = home / "outputs" / name
        for fit in (home / ".cll" / "store").glob(
            "train-*"
        ):  # otherwise the fits of the run before would be reused
            shutil.rmtree(fit)
        cost = alone([*command, f"source.path={data}", f"hydra.run.dir={out}"], home)
        told = json.loads((out / "replay.json").read_text(encoding="utf-8"))
        found[name] = cost | {
            "rows": told["counts"]["rows"],
            "trainings": told["counts"]["trainings"],
            "accuracy": told["policy"]["accuracy"],
            "no_change": told["no_change"]["accuracy"],
        }
    return found


def policies(home: Path, days: int, entities: int) -> dict[str, Any]:
    as_of = START + timedelta(days=days)
    project(home, as_of.isoformat().replace("+00:00", "Z"), {"set": {}})
    drift = (START + timedelta(days=days * 2 // 3)).isoformat().replace("+00:00", "Z")
    words = [f"source.entities={entities}", f'source.drift_at="{drift}"', *POLICIES]
    for_data = ["cll", "run", "estimator=logistic", *words[:2], "hydra.run.dir=outputs/first"]
    alone([sys.executable, "-m", *for_data], home)  # makes signals and features
    command = [
        sys.executable,
        "-m",
        "cll",
        "replay",
        "-m",
        *words,
        "hydra.sweep.dir=multirun/sweep",
    ]
    return alone(command, home)


def bare(home: Path) -> dict[str, Any]:
    """Return the summed cost of all jobs' fits and scores, each in a process with its share of threads."""
    from cll.experiment.workers import Workers  # noqa: PLC0415  imports nothing that computes
    from cll.system.cpu import cores  # noqa: PLC0415  imports nothing that computes

    jobs = sorted(path.parent for path in (home / "multirun" / "sweep").glob("*/ticks.jsonl"))
    done = dict(Workers(_bare, cores()).map(jobs))
    if failed := [str(told) for told in done.values() if not isinstance(told, list)]:
        raise SystemExit(failed[0])
    total = sum(seconds for seconds, _ in done.values())
    fits = sum(count for _, count in done.values())
    return {"sum_s": total, "over_cores_s": total / cores(), "trainings": fits}


def _bare(folder: Path, _: Any) -> list[float]:
    """Repeat the fits and scores of a job; the time to make the matrices is not counted."""
    from cll.config import components  # noqa: PLC0415
    from cll.config import project as config_project  # noqa: PLC0415
    from cll.pipeline import stage_cache  # noqa: PLC0415
    from cll.pipeline.dataset import labelled, point_in_time  # noqa: PLC0415
    from cll.replay import log as replay_log  # noqa: PLC0415
    from cll.replay import prequential  # noqa: PLC0415  for this command alone
    from cll.system import workspace  # noqa: PLC0415
    from cll.types.times import parse_instant  # noqa: PLC0415

    tree = components.load_yaml(folder / "resolved.yaml")
    ws = workspace.Workspace(Path(), folder)
    world = config_project.load_world(ws)
    ws = stage_cache.data(ws, tree, world)
    known, log = point_in_time.load(ws), replay_log.ReplayLog(folder)
    ticks = [parse_instant(record.as_of) for record in log.records]
    seconds, trained = 0.0, [record for record in log.records if record.trained]
    for record in trained:
        at = parse_instant(record.as_of)
        base = None if record.champion == replay_log.NONE else log.load_model(record.champion)
        seconds += _fit(labelled.build(point_in_time.at(known, at), tree, at), tree, base)
    stream = prequential.build_stream(known, tree, ticks)
    in_force = [record.champion for record in log.records]
    began = time.perf_counter()
    predictions = prequential.predict(stream, {"policy": in_force}, log.load_model)["policy"]
    prequential.figures(stream, predictions, components.build("metric", tree["metric"]))
    return [seconds + time.perf_counter() - began, len(trained)]


def _fit(rows: Any, tree: Any, base: Any) -> float:
    """Fit as the job did, from the champion if its update continues one."""
    from cll.config import components  # noqa: PLC0415
    from cll.pipeline.train import update as train_update  # noqa: PLC0415

    asked = {group: tree[group] for group in ("label", "features")}
    built = {name: components.build(name, tree[name]) for name in ("estimator", "train", "metric")}
    means = train_update.TrainingInputs(
        *(rows, asked, built["estimator"], built["train"], built["metric"], tree["seed"]),
        champion=base,
    )
    update, held = components.build("update", tree["update"]), rows.matrix(rows.split.holdout)
    began = time.perf_counter()
    train_update.apply(update, rows.split.train, means).predictor.probability(held.X)
    return time.perf_counter() - began


def run(asked: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        home, fleet = Path(scratch) / "stream", Path(scratch) / "fleet"
        if asked.data.is_dir():
            found["stream"] = stream(home, asked.data.resolve())
            me = [sys.executable, __file__, "--forest", asked.data.resolve()]
            found["forest"] = alone(me, home)
            shutil.rmtree(home)
        found["policies"] = policies(fleet, asked.days, asked.entities)
        found["bare"] = alone([sys.executable, __file__, "--bare", str(fleet)], fleet)
    found["bare"]["ratio"] = found["policies"]["wall_s"] / found["bare"]["over_cores_s"]
    return found


def told(found: dict[str, Any]) -> None:
    if "forest" in found:
        lines = list(_stream(found["forest"], found["stream"]))
        titles = ("", "accuracy", "no change", "rows/s", "wall s", "CPU s", "x forest")
        show("The published stream, row by row", titles, lines)
    policy, least = found["policies"], found["bare"]
    rows = [
        ("cll replay -m", policy["wall_s"], policy["cpu_s"], ""),
        ("bare, over the processors", least["over_cores_s"], least["sum_s"], least["ratio"]),
    ]
    title = (
        f"{' '.join(POLICIES)}: {least['trainings']:.0f} trainings (goal: at most {GOALS['bare']})"
    )
    show(title, ("", "wall s", "CPU s", "ratio"), rows)


def _stream(peer: dict[str, Any], ours: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    speed = peer["rows"] / peer["stream_s"]
    yield "river, ten trees", peer["accuracy"], "", speed, peer["stream_s"], peer["cpu_s"], 1.0
    names = {
        "from_nothing": "cll replay, features made",
        "now": f"cll replay (goal: {ACCURACY['now']}, {GOALS['forest']:g} x)",
        "late": f"... labels 48 rows late (goal: {ACCURACY['late']})",
    }
    for key, name in names.items():
        one = ours[key]
        own = one["rows"] / one["wall_s"]
        yield (
            *(name, one["accuracy"], one["no_change"], own),
            *(one["wall_s"], one["cpu_s"], own / speed),
        )


def main() -> int:
    parser = arguments(__doc__, "replay")
    parser.add_argument("--data", type=Path, default=DATA, help="the published stream's folder")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--entities", type=int, default=20)
    parser.add_argument("--forest", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.forest or asked.bare:
        print(json.dumps(forest(asked.forest) if asked.forest else bare(asked.bare)))
        return 0
    found = run(asked)
    keep(found, asked.to)
    told(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
