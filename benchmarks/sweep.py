"""Comparison of a sweep of 64 jobs with bare fits, `dvc queue`, and Hydra's basic launcher.

    python benchmarks/sweep.py                        64 jobs on 200,000 rows: half an hour
    python benchmarks/sweep.py --rows 20000 --seeds 1 --peers 4     a few minutes

The jobs are all combinations of both estimators, features=kpi and windows, and a number of seeds.

- `cll run -m` makes data and features once, trains, evaluates with intervals, and ranks.
- `bare` runs the same fits (four folds and the final one) and computes the figures of the holdout
  without intervals, on matrices in memory, in one process per processor. Its summed seconds are
  divided by the number of processors.
- `hydra` runs plain_sweep.py with Hydra's basic launcher.
- `queue` is `dvc exp run --queue` and `dvc queue start -j 2` in a clone.

Of `hydra` and `queue` only `--peers` jobs are run, the same number of each kind, and the time of one is
multiplied. The figures go to benchmarks/results/sweep.json.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import end_to_end
from table import ROOT, alone, arguments, keep, project, show

AS_OF, DAYS, A_DAY = "2026-01-31T00:00:00Z", 30, 288
GOALS = {"bare": 1.15, "hydra": 2.0, "queue": 5.0}
KINDS = list(itertools.product(("logistic", "lightgbm"), ("kpi", "windows")))
GRID = ("estimator=logistic,lightgbm", "features=kpi,windows")


def cll(home: Path, seeds: int, entities: int) -> dict[str, Any]:
    words = [f"source.entities={entities}", *GRID, f"seed=range(0,{seeds})"]
    return alone([sys.executable, "-m", "cll", "run", "-m", *words], home)


def bare(seeds: int, entities: int) -> dict[str, Any]:
    """Return the summed cost of fits and figures, each in a process with its share of the processors."""
    from cll.experiment.workers import Workers  # noqa: PLC0415  imports nothing that computes
    from cll.system.cpu import cores  # noqa: PLC0415  imports nothing that computes

    jobs = [(*kind, seed, entities) for kind in KINDS for seed in range(seeds)]
    done = dict(Workers(_bare, cores()).map(jobs))
    if failed := [str(told) for told in done.values() if not isinstance(told, float)]:
        raise SystemExit(failed[0])
    return {"sum_s": sum(done.values()), "over_cores_s": sum(done.values()) / cores()}


def _bare(job: tuple[str, str, int, int], _: Any) -> float:
    """Fit and score one job; the time to make or read its matrices is not counted."""
    from cll.config import components  # noqa: PLC0415
    from cll.config import project as config_project  # noqa: PLC0415
    from cll.model import artifact  # noqa: PLC0415
    from cll.pipeline import stage_cache  # noqa: PLC0415
    from cll.pipeline.compose import compose  # noqa: PLC0415
    from cll.pipeline.dataset import labelled  # noqa: PLC0415
    from cll.pipeline.evaluate.statistics import ranking  # noqa: PLC0415
    from cll.pipeline.train import fit  # noqa: PLC0415
    from cll.system import workspace  # noqa: PLC0415

    estimator, features, seed, entities = job
    words = [f"source.entities={entities}", f"estimator={estimator}", f"features={features}"]
    tree = compose.resolve(Path("conf"), {}, words)
    ws = workspace.Workspace(Path(), Path("outputs"))
    world = config_project.load_world(ws)
    ws = stage_cache.data(ws, tree, world)
    rows = labelled.load(ws, tree, world)
    learnt, held = rows.matrix(rows.split.train), rows.matrix(rows.split.holdout)
    taught = rows.rows.filter(rows.rows["part"] == "train")
    settings, metrics = (components.build(name, tree[name]) for name in ("train", "metric"))
    chosen = components.build("estimator", tree["estimator"])
    began = time.perf_counter()
    made = fit.train(learnt, taught, chosen, settings, rows.embargo, seed)
    model = artifact.Predictor(made.model, rows.names, made.slope, made.intercept, made.threshold)
    p = model.probability(held.X)
    ranked, _order = ranking.rank(held.y, p, model.alert(p), held.y)
    for metric in metrics.values():
        metric(ranked, held.y * 0 + 1)
    return time.perf_counter() - began


def plain(data: Path, home: Path, jobs: int) -> dict[str, Any]:
    words = [f"folder={data}", *GRID, f"seed=range(0,{jobs // len(KINDS)})"]
    script = ROOT / "benchmarks" / "plain_sweep.py"
    return alone([sys.executable, script, "-m", *words, "hydra/launcher=basic"], home)


def queue(home: Path, jobs: int, entities: int) -> dict[str, Any]:
    """Run some experiments through DVC's queue in a clone; the queue's processes end by themselves."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(home)], check=True)
    params = {"source": "synthetic", "set": {"source": {"synthetic": {"entities": entities}}}}
    (home / "params.yaml").write_text(json.dumps({**params, "estimator": None, "features": None}))
    for words in (("config", "user.name", "b"), ("config", "user.email", "b@localhost")):
        subprocess.run(["git", *words], cwd=home, check=True)
    subprocess.run(["git", "commit", "-qam", "Say what is run"], cwd=home, check=True)
    dvc, env = (
        [sys.executable, "-m", "dvc"],
        {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    for (estimator, features), seed in itertools.product(KINDS, range(jobs // len(KINDS))):
        choices = (f"estimator={estimator}", f"features={features}", f"+set.seed={seed}")
        words = [word for choice in choices for word in ("-S", choice)]
        alone([*dvc, "exp", "run", "-q", "--queue", *words], home, env)
    began = time.perf_counter()
    alone([*dvc, "queue", "start", "-q", "-j", "2"], home, env)
    while "Running" in (said := _status(dvc, home)) or "Queued" in said:
        time.sleep(1)
    if said.count("Success") != jobs:
        raise SystemExit(f"dvc queue: not all succeeded:\n{said}")
    return {"wall_s": time.perf_counter() - began}


def _status(dvc: list[str], home: Path) -> str:
    command = [*dvc, "queue", "status"]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, check=True).stdout


def run(asked: argparse.Namespace) -> dict[str, Any]:
    entities = max(round(asked.rows / DAYS / A_DAY), 4)
    jobs = len(KINDS) * asked.seeds
    found: dict[str, Any] = {"rows": entities * DAYS * A_DAY, "jobs": jobs, "peers": asked.peers}
    with tempfile.TemporaryDirectory() as scratch:
        data, home, other = (Path(scratch) / name for name in ("data", "project", "bare"))
        for folder in (home, other):
            project(folder, AS_OF, {"set": {}})
        found["cll"] = cll(home, asked.seeds, entities)
        told_so_far(found)
        me = [sys.executable, __file__, "--bare", str(entities), "--seeds", str(asked.seeds)]
        found["bare"] = alone(me, other)
        end_to_end.write(data, found["rows"])
        found["hydra"] = plain(data, other, asked.peers)
        told_so_far(found)
        if "queue" not in asked.leave_out:
            found["queue"] = queue(Path(scratch) / "clone", asked.peers, entities)
    wall = found["cll"]["wall_s"]
    found["bare"]["ratio"] = wall / found["bare"]["over_cores_s"]
    for name in {"hydra", "queue"} & {*found}:
        found[name]["ratio"] = found[name]["wall_s"] * jobs / asked.peers / wall
    return found


def told_so_far(found: dict[str, Any]) -> None:
    """Print the figures so far to stderr, in case the rest fails."""
    sys.stderr.write(json.dumps(found) + "\n")


def told(found: dict[str, Any]) -> None:
    least = found["bare"]
    rows: list[tuple[object, ...]] = [
        ("cll run -m", found["cll"]["wall_s"], found["cll"]["cpu_s"], "", ""),
        (
            "bare, over the processors",
            least["over_cores_s"],
            least["sum_s"],
            least["ratio"],
            "1.15",
        ),
    ]
    for name, title in (("hydra", "plain script, basic launcher"), ("queue", "dvc queue -j 2")):
        if name in found:
            one = found[name]
            cpu = one.get("cpu_s", "")
            rows.append((title, one["wall_s"], cpu, one["ratio"], f"at least {GOALS[name]}"))
    title = (
        f"{found['jobs']} jobs on {found['rows']:,} rows (of the last two {found['peers']} jobs)"
    )
    show(title, ("", "wall s", "CPU s", "ratio", "goal"), rows)


def main() -> int:
    parser = arguments(__doc__, "sweep")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--peers", type=int, default=8, help="jobs of the slow peers")
    parser.add_argument("--leave-out", nargs="*", default=[], choices=["queue"])
    parser.add_argument("--bare", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.bare:
        print(json.dumps(bare(asked.seeds, asked.bare)))
        return 0
    found = run(asked)
    keep(found, asked.to)
    told(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
