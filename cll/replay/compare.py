"""How policies compare that were replayed over one history: quality beside cost."""

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
_OTHERS = {
    "first": "the first release for good",
    "newest": "each candidate",
    "no_change": "no change",
}


@dataclass(frozen=True)
class Replayed:
    """One policy, and what it did."""

    folder: Path
    job: Job
    tree: Tree  # resolved.yaml; empty where it was not composed
    told: Mapping[str, Any]  # replay.json; empty where it failed

    def number(self, *path: str) -> float | None:
        found: Any = self.told
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return None if found is None else float(found)


def show(folder: Path) -> None:
    """Print what one replay found."""
    told = disk.read_json(folder / replay_job.FIGURES)
    console, shown = (
        system_console.own_console(),
        Table(box=None, pad_edge=False, header_style="bold"),
    )
    shown.add_column("prequential")
    for name in ("policy", *_OTHERS):
        shown.add_column(_OTHERS.get(name, "the loop"), justify="right")
    for metric in told["policy"]:
        row = [told[name].get(metric) for name in ("policy", *_OTHERS)]
        values = ["" if value is None else f"{value:.4f}" for value in row]
        shown.add_row(metric.replace("_", " "), *values)
    console.print(shown)
    for line in (*_facts(told), f"figures  {system_console.near(folder / replay_job.FIGURES)}"):
        console.print(line, markup=False, soft_wrap=True)


def _facts(told: Mapping[str, Any]) -> list[str]:
    counts, cost = told["counts"], told["cost"]
    gate = "{releases} released, {rejected} rejected, {undecided} without enough evidence"
    lines = [
        f"loop     {counts['ticks']:,} ticks, {counts['rows']:,} rows, {counts['trainings']} trainings",
        f"gate     {gate.format(**counts)}, {counts['refused']} refused for the data",
        f"cost     {cost['train_seconds']:.1f} s of CPU to train, {cost['judge_seconds']:.1f} s to judge",
    ]
    for metric, lost in told["regret"].items():
        best = _OTHERS.get(lost["best"], "none of the others")
        lines.append(f"regret   {lost['value']:.4f} in {metric.replace('_', ' ')} (better: {best})")
    if events := told["events"]:
        said = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in events.items())
        lines.append(f"events   {said}")
    return lines


def are_in(folder: Path) -> bool:
    """Tell whether the jobs in `folder` are replays."""
    return any((place / TICKS).is_file() for place, _ in jobs.found(folder))


def compare(folder: Path) -> None:
    """Print a table of all replays in `folder`, best first; write it as CSV, and as a chart."""
    replayed = [_read(place, job) for place, job in jobs.found(folder)]
    if not replayed:
        raise ConfigError(f"{folder}: no job ended here; name the folder of a sweep.")
    metric = next((one.tree["gate"]["metric"] for one in replayed if one.tree), _LOSS)
    better = _direction(replayed, metric)
    done = [one for one in replayed if one.number("policy", metric) is not None]
    done.sort(key=lambda one: -sign(better) * (one.number("policy", metric) or 0.0))
    rest = [one for one in replayed if one not in done]
    keys = leaderboard.differing([one.tree for one in replayed if one.tree])
    rows = _rows([*done, *rest], keys, metric, folder)
    console, shown = (
        system_console.own_console(),
        Table(box=None, pad_edge=False, header_style="bold"),
    )
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    for name in names:
        shown.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        shown.add_row(*(row[name] for name in names))
    console.print(shown)
    leaderboard.save(folder / CSV, rows)
    if done:
        from cll.pipeline.report import tradeoff  # noqa: PLC0415  Altair takes a second, and one replay has none

        points = [_point(one, keys, metric) for one in done]
        chart = tradeoff.draw(points, f"{metric.replace('_', ' ')} ({better} is better)")
        disk.write_bytes(folder / CHART, chart.encode())
        console.print(
            f"chart    {system_console.near(folder / CHART)}", markup=False, soft_wrap=True
        )
    console.print(f"table    {system_console.near(folder / CSV)}", markup=False, soft_wrap=True)


def _read(folder: Path, job: Job) -> Replayed:
    resolved, path = Workspace(folder).resolved, folder / replay_job.FIGURES
    tree = components.load_yaml(resolved) if resolved.is_file() else {}
    done = job.status == "done" and path.is_file()
    return Replayed(folder, job, tree, disk.read_json(path) if done else {})


def _cost(one: Replayed) -> float | None:
    """Return the processor's seconds that the policy asked for, whatever else the job did."""
    parts = one.number("cost", "train_seconds"), one.number("cost", "judge_seconds")
    return None if None in parts else sum(part or 0.0 for part in parts)


def _rows(
    replayed: Sequence[Replayed], keys: Sequence[trees.Keys], metric: str, folder: Path
) -> list[dict[str, str]]:
    names, rows = leaderboard.names(keys), []
    best = {name: _best(replayed, name) for name in (metric, _LOSS)}
    for one in replayed:
        row = {"job": one.folder.relative_to(folder).as_posix()}
        row |= dict(zip(names, leaderboard.values(one.tree, keys), strict=True))
        for name in dict.fromkeys((metric, _LOSS)):
            value = one.number("policy", name)
            row[name] = "" if value is None else f"{value:.4f}"
            lost = None if value is None or best[name] is None else abs(value - (best[name] or 0.0))
            row[f"regret_{name}"] = "" if lost is None else f"{lost:.4f}"
        for name in ("trainings", "releases"):
            count = one.number("counts", name)
            row[name] = "" if count is None else f"{count:.0f}"
        cost = _cost(one)
        row["cpu_seconds"] = "" if cost is None else f"{cost:.1f}"
        row["says"] = one.job.says if one.job.status != "done" else ""
        rows.append(row)
    return rows


def _direction(replayed: Sequence[Replayed], metric: str) -> Better:
    """Return a metric's direction as the first replay with that metric has it."""
    known = (directions_in(one.tree) for one in replayed if one.tree)
    return next((stated[metric] for stated in known if metric in stated), "higher")


def _best(replayed: Sequence[Replayed], metric: str) -> float | None:
    """Return the best figure in hindsight, of all policies and what they compare themselves with."""
    found = [one.number(name, metric) for one in replayed for name in ("policy", *_OTHERS)]
    values = [value for value in found if value is not None]
    if not values:
        return None
    return max(values) if _direction(replayed, metric) == "higher" else min(values)


def _point(one: Replayed, keys: Sequence[trees.Keys], metric: str) -> dict[str, Any]:
    told = [value for value in leaderboard.values(one.tree, keys) if value]
    name = ", ".join(told) or one.folder.name
    return {"x": _cost(one) or 0.0, "y": one.number("policy", metric), "policy": name}
