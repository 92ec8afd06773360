"""Rank jobs by their metric out of fold, and compare the best ones on the holdout.

The holdout does not rank, since a holdout that was used for a choice can't evaluate the choice. It
shows which of the best jobs differ by more than noise, on the same rows and in the same draws.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from cll.config import components
from cll.config import trees as config_trees
from cll.experiment import jobs
from cll.experiment.jobs import Job
from cll.pipeline.evaluate.statistics.difference import Difference, Judgement, difference
from cll.system import console as system_console
from cll.system import disk, frames
from cll.system.workspace import Workspace
from cll.types.directions import directions_in, sign
from cll.types.errors import ConfigError

BEST = 5  # jobs that are compared pairwise
CSV = "leaderboard.csv"
DIGITS = 8  # digits of a number in the table


@dataclass(frozen=True)
class RankedJob:
    """One job and its metrics on the holdout."""

    folder: Path
    job: Job
    tree: Mapping[str, Any]  # resolved.yaml; empty if the config could not be composed
    judged: Judgement | None

    @property
    def holdout_id(self) -> str:
        return self.judged.holdout_id if self.judged else ""


@dataclass(frozen=True)
class Board:
    """Jobs in order of rank, and the config keys in which they differ."""

    metric: str
    by: str  # description of the ranking figure
    entries: tuple[RankedJob, ...]  # ranked ones first
    ranked: int
    keys: tuple[config_trees.Keys, ...]  # keys in which the jobs differ

    def differs(self, entry: RankedJob) -> list[str]:
        return values(entry.tree, self.keys)


def show(folder: Path) -> None:
    """Print a comparison of the jobs in `folder`, and write it as CSV into the folder."""
    board = rank(folder)
    rows = _rows(board, folder)
    console = system_console.own_console()
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        if any(row[name] for row in rows) and name != "cpu_seconds":
            shown.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        shown.add_row(*(_short(row[str(c.header).replace(" ", "_")]) for c in shown.columns))
    console.print(shown)
    for line in _notes(board):
        console.print(line, markup=False, soft_wrap=True)
    save(folder / CSV, rows)
    console.print(f"table    {system_console.near(folder / CSV)}", markup=False, soft_wrap=True)


def save(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write a table as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    disk.write_bytes(path, text.getvalue().encode())


def rank(folder: Path) -> Board:
    """Read the jobs in `folder`; the best is first, jobs without a figure are last."""
    entries = [_entry(place, job) for place, job in jobs.listed(folder)]
    if not entries:
        raise ConfigError(f"{folder}: no job ended here; name the folder of a sweep.")
    composed = [entry for entry in entries if entry.tree]
    metric = composed[0].tree["gate"]["metric"] if composed else "none"
    out_of_fold = any(entry.job.figure is not None for entry in entries)
    way = sign(directions_in(composed[0].tree)[metric]) if composed else 1

    def figure(entry: RankedJob) -> float | None:
        return entry.job.figure if out_of_fold else _value(entry, metric)

    ranked = [entry for entry in entries if figure(entry) is not None and entry.judged]
    ranked.sort(key=lambda entry: -way * (figure(entry) or 0.0))
    rest = [entry for entry in entries if entry not in ranked]
    by = "out of fold" if out_of_fold else "on the holdout, which then can't judge the choice"
    return Board(
        metric,
        by,
        (*ranked, *rest),
        len(ranked),
        tuple(differing([entry.tree for entry in composed])),
    )


def differences(board: Board) -> dict[tuple[int, int], Difference]:
    """Compare the best jobs pairwise on the holdout; keys are their positions."""
    best = board.entries[: min(BEST, board.ranked)]
    pairs = {}
    for i, first in enumerate(best):
        for j, second in enumerate(best[i + 1 :], i + 1):
            if first.judged and second.judged:
                compared = difference(board.metric, first.judged, second.judged)
                if compared:
                    pairs[i, j] = compared
    return pairs


def _entry(folder: Path, job: Job) -> RankedJob:
    ws = Workspace(folder)
    tree = components.load_yaml(ws.resolved) if ws.resolved.is_file() else {}
    judged = None
    if job.status == "done":
        metrics = disk.read_json(folder / "metrics.json")
        draws = frames.read_csv(ws.draws) if ws.draws.is_file() else None
        judged = Judgement(metrics["candidate"], metrics["data"], draws)
    return RankedJob(folder, job, tree, judged)


def differing(trees_of: Sequence[Mapping[str, Any]]) -> list[config_trees.Keys]:
    """List the keys that differ: first choices, then values among jobs with the same choice."""
    differ: list[config_trees.Keys] = []
    trees = [(tree["choices"], config_trees.flatten(tree)) for tree in trees_of]
    for keys in dict.fromkeys(keys for _, leaves in trees for keys in leaves):
        if keys[0] in {"code", "directions", "fallback", "schema"} or keys[-1] == "_target_":
            continue
        values: dict[str, set[str]] = {}
        for choices, leaves in trees:
            values.setdefault(choices.get(keys[0], ""), set()).add(_text(leaves.get(keys)))
        if any(len(distinct) > 1 for distinct in values.values()):
            differ.append(keys)
    return sorted(differ, key=lambda keys: keys[0] != "choices")


def names(keys: Sequence[config_trees.Keys]) -> list[str]:
    """Return the keys as column headings; the heading of a choice is its group."""
    return [config_trees.dotted(key[1:] if key[0] == "choices" else key) for key in keys]


def values(tree: Mapping[str, Any], keys: Sequence[config_trees.Keys]) -> list[str]:
    leaves = config_trees.flatten(tree)
    return [_text(leaves.get(key)) for key in keys]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _value(entry: RankedJob, metric: str) -> float | None:
    return entry.judged.figures.get(metric, {}).get("value") if entry.judged else None


def _short(text: str) -> str:
    """Return a long number with four digits; the CSV has all of them."""
    try:
        return f"{float(text):.4g}" if "." in text and len(text) > DIGITS else text
    except ValueError:
        return text


def _rows(board: Board, folder: Path) -> list[dict[str, str]]:
    """Return a row for each job."""
    compared, rows = differences(board), []
    differing_names = names(board.keys)
    for place, entry in enumerate(board.entries):
        figure = entry.judged.figures.get(board.metric, {}) if entry.judged else {}
        same = [
            str(other + 1)
            for pair, result in compared.items()
            for other in pair
            if place in pair and other != place and result.is_noise
        ]
        ends = f"{figure['low']:.4f} .. {figure['high']:.4f}" if "low" in figure else ""
        rows.append(
            {
                "rank": str(place + 1) if place < board.ranked else "",
                "job": entry.folder.relative_to(folder).as_posix(),
                **dict(zip(differing_names, board.differs(entry), strict=True)),
                "out_of_fold": "" if entry.job.figure is None else f"{entry.job.figure:.4f}",
                "holdout": f"{figure['value']:.4f}" if "value" in figure else "",
                "interval_95": ends,
                "within_noise_of": ", ".join(same),
                "seconds": f"{entry.job.seconds:.1f}",
                "cpu_seconds": f"{entry.job.cpu_seconds:.1f}",
                "says": entry.job.says if entry.job.status != "done" else "",
            }
        )
    return rows


def _notes(board: Board) -> list[str]:
    heading = f"{board.metric}, ranked {board.by}; intervals are those of the holdout."
    notes = [heading] if board.ranked else []
    ids = {entry.holdout_id for entry in board.entries[: board.ranked]}
    if len(ids) > 1:
        notes.append(
            f"{len(ids)} different sets of rows were held out (other source, label or split), so "
            "their ranks are not comparable and intervals are not paired."
        )
    failed = sum(entry.job.status == "failed" for entry in board.entries)
    if failed:
        notes.append(f"{failed} of {len(board.entries)} jobs failed.")
    return notes
