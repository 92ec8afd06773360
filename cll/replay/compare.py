"""Comparison of replays: a table and a chart of each policy's metric and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from cll.config import components, trees
from cll.config.project import Tree
from cll.experiment import jobs, leaderboard
from cll.experiment.jobs import Job
from cll.replay import job as replay_job
from cll.replay.log import TICKS
from cll.system import console as system_console
from cll.system import disk
from cll.system.workspace import Workspace
from cll.types.directions import Better, directions_in, sign
from cll.types.errors import ConfigError

CSV, CHART = "policies.csv", "policies.svg"
_LOSS = "log_loss"
# The policies that each replay computes figures for besides its own, with their headings.
_OTHERS = {
    "first": "first release only",
    "newest": "every candidate",
    "no_change": "no change",
}


@dataclass(frozen=True)
class ReplayedPolicy:
    """One replay of a sweep: its config and its figures."""

    folder: Path
    job: Job
    tree: Tree  # resolved.yaml; empty where the config could not be composed
    figures: Mapping[str, Any]  # replay.json; empty where the job failed

    def number(self, *path: str) -> float | None:
        """Return a number of replay.json by its keys, outermost first; None where it is missing."""
        node: Any = self.figures
        for key in path:
            node = node.get(key) if isinstance(node, Mapping) else None
        return None if node is None else float(node)

    @property
    def cpu_seconds(self) -> float | None:
        """The CPU seconds to train and evaluate, including trainings that came from the cache."""
        parts = self.number("cost", "train_seconds"), self.number("cost", "judge_seconds")
        return None if None in parts else sum(part or 0.0 for part in parts)


def show(folder: Path) -> None:
    """Print the figures of one replay."""
    figures = disk.read_json(folder / replay_job.FIGURES)
    console, table = system_console.own_console(), _table()
    table.add_column("prequential")
    for name in ("policy", *_OTHERS):
        table.add_column(_OTHERS.get(name, "the loop"), justify="right")
    for metric in figures["policy"]:
        values = [figures[name].get(metric) for name in ("policy", *_OTHERS)]
        cells = ["" if value is None else f"{value:.4f}" for value in values]
        table.add_row(metric.replace("_", " "), *cells)
    console.print(table)
    path = system_console.near(folder / replay_job.FIGURES)
    for line in (*_facts(figures), f"figures  {path}"):
        console.print(line, markup=False, soft_wrap=True)


def _facts(figures: Mapping[str, Any]) -> list[str]:
    counts, cost = figures["counts"], figures["cost"]
    gate = "{releases} released, {rejected} rejected, {undecided} without enough evidence"
    lines = [
        f"loop     {counts['ticks']:,} ticks, {counts['rows']:,} rows, {counts['trainings']} trainings",
        f"gate     {gate.format(**counts)}, {counts['refused']} trainings refused for their data",
        f"cost     {cost['train_seconds']:.1f} + {cost['judge_seconds']:.1f} CPU seconds to train and evaluate",
    ]
    for metric, regret in figures["regret"].items():
        best = _OTHERS.get(regret["best"], "none of the others")
        name = metric.replace("_", " ")
        lines.append(f"regret   {regret['value']:.4f} in {name} (better: {best})")
    if events := figures["events"]:
        counted = (f"{name.replace('_', ' ')} {value:g}" for name, value in events.items())
        lines.append(f"events   {', '.join(counted)}")
    return lines


def contains_replays(folder: Path) -> bool:
    """Return whether the jobs in `folder` are replays."""
    return any((place / TICKS).is_file() for place, _ in jobs.listed(folder))


def compare(folder: Path) -> None:
    """Print a table of all replays in `folder`, best first; write it as CSV, and draw a chart."""
    policies = [_read(place, job) for place, job in jobs.listed(folder)]
    if not policies:
        raise ConfigError(f"{folder}: no job ended here; name the folder of a sweep.")
    metric = next((policy.tree["gate"]["metric"] for policy in policies if policy.tree), _LOSS)
    better = _direction(policies, metric)
    ranked = [policy for policy in policies if policy.number("policy", metric) is not None]
    ranked.sort(key=lambda policy: -sign(better) * (policy.number("policy", metric) or 0.0))
    rest = [policy for policy in policies if policy not in ranked]
    keys = leaderboard.differing([policy.tree for policy in policies if policy.tree])
    rows = _rows([*ranked, *rest], keys, metric, folder)
    _print_rows(rows)
    leaderboard.save(folder / CSV, rows)
    if ranked:
        _draw(ranked, keys, f"{metric.replace('_', ' ')} ({better} is better)", metric, folder)
    _print_path("table", folder / CSV)


def _print_rows(rows: Sequence[Mapping[str, str]]) -> None:
    """Print the columns that are not empty."""
    table = _table()
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    for name in names:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(row[name] for name in names))
    system_console.own_console().print(table)


def _draw(
    ranked: Sequence[ReplayedPolicy],
    keys: Sequence[trees.Keys],
    title: str,
    metric: str,
    folder: Path,
) -> None:
    from cll.pipeline.report import tradeoff  # noqa: PLC0415  Altair takes a second to import

    points = [_point(policy, keys, metric) for policy in ranked]
    chart = tradeoff.draw(points, title)
    disk.write_bytes(folder / CHART, chart.encode())
    _print_path("chart", folder / CHART)


def _print_path(kind: str, path: Path) -> None:
    line = f"{kind:<8} {system_console.near(path)}"
    system_console.own_console().print(line, markup=False, soft_wrap=True)


def _table() -> Table:
    return Table(box=None, pad_edge=False, header_style="bold")


def _read(folder: Path, job: Job) -> ReplayedPolicy:
    resolved, path = Workspace(folder).resolved, folder / replay_job.FIGURES
    tree = components.load_yaml(resolved) if resolved.is_file() else {}
    done = job.status == "done" and path.is_file()
    return ReplayedPolicy(folder, job, tree, disk.read_json(path) if done else {})


def _rows(
    policies: Sequence[ReplayedPolicy], keys: Sequence[trees.Keys], metric: str, folder: Path
) -> list[dict[str, str]]:
    names = leaderboard.names(keys)
    best = {name: _best(policies, name) for name in (metric, _LOSS)}
    rows = []
    for policy in policies:
        row = {"job": policy.folder.relative_to(folder).as_posix()}
        row |= dict(zip(names, leaderboard.values(policy.tree, keys), strict=True))
        for name in dict.fromkeys((metric, _LOSS)):
            row |= _metric_cells(name, policy.number("policy", name), best[name])
        for name in ("trainings", "releases"):
            count = policy.number("counts", name)
            row[name] = "" if count is None else f"{count:.0f}"
        cost = policy.cpu_seconds
        row["cpu_seconds"] = "" if cost is None else f"{cost:.1f}"
        row["says"] = policy.job.says if policy.job.status != "done" else ""
        rows.append(row)
    return rows


def _direction(policies: Sequence[ReplayedPolicy], metric: str) -> Better:
    """Return a metric's direction as the first replay with that metric has it."""
    directions = (directions_in(policy.tree) for policy in policies if policy.tree)
    return next((stated[metric] for stated in directions if metric in stated), "higher")


def _metric_cells(name: str, value: float | None, best: float | None) -> dict[str, str]:
    """Return the cells of a metric and of its regret: the distance to the best value."""
    regret = None if value is None or best is None else abs(value - best)
    return {
        name: "" if value is None else f"{value:.4f}",
        f"regret_{name}": "" if regret is None else f"{regret:.4f}",
    }


def _best(policies: Sequence[ReplayedPolicy], metric: str) -> float | None:
    """Return the best value of a metric in hindsight, over all replays and their other policies."""
    numbers = [policy.number(name, metric) for policy in policies for name in ("policy", *_OTHERS)]
    values = [value for value in numbers if value is not None]
    if not values:
        return None
    return max(values) if _direction(policies, metric) == "higher" else min(values)


def _point(policy: ReplayedPolicy, keys: Sequence[trees.Keys], metric: str) -> dict[str, Any]:
    choices = [value for value in leaderboard.values(policy.tree, keys) if value]
    name = ", ".join(choices) or policy.folder.name
    return {"x": policy.cpu_seconds or 0.0, "y": policy.number("policy", metric), "policy": name}
