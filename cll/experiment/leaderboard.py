"""How jobs compare: ranked by rows that they learnt from, judged on the rows held out.

The figure out of fold ranks, since a holdout that chooses can't judge what was chosen. Of the best,
the holdout then says which differ by more than noise: on the same rows, in the same draws.
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

BEST = 5  # jobs that are compared one with another
CSV = "leaderboard.csv"
DIGITS = 8  # of a number in the table


@dataclass(frozen=True)
class Entry:
    """One job, and what the holdout says of it."""

    folder: Path
    job: Job
    tree: Mapping[str, Any]  # resolved.yaml; empty where it was not composed
    judged: Judgement | None

    @property
    def holdout_id(self) -> str:
        return self.judged.holdout_id if self.judged else ""


@dataclass(frozen=True)
class Board:
    """Jobs in their order, and what differs among them."""

    metric: str
    by: str  # what ranks
    entries: tuple[Entry, ...]  # ranked ones first
    ranked: int
    keys: tuple[config_trees.Keys, ...]  # that differ

    def differs(self, entry: Entry) -> list[str]:
        return values(entry.tree, self.keys)


def show(folder: Path) -> None:
    """Print how the jobs in `folder` compare, and write it beside them as CSV."""
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
    """Read the jobs in `folder`, best first, those without a figure last."""
    entries = [_entry(place, job) for place, job in jobs.found(folder)]
    if not entries:
        raise ConfigError(f"{folder}: no job ended here; name the folder of a sweep.")
    composed = [entry for entry in entries if entry.tree]
    metric = composed[0].tree["gate"]["metric"] if composed else "none"
    out_of_fold = any(entry.job.figure is not None for entry in entries)
    way = sign(directions_in(composed[0].tree)[metric]) if composed else 1

    def figure(entry: Entry) -> float | None:
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
    """Compare the best on the holdout, each with those that are ranked behind it."""
    best = board.entries[: min(BEST, board.ranked)]
    found = {}
    for i, one in enumerate(best):
        for j, other in enumerate(best[i + 1 :], i + 1):
            told = (
                one.judged and other.judged and difference(board.metric, one.judged, other.judged)
            )
            if told:
                found[i, j] = told
    return found


def _entry(folder: Path, job: Job) -> Entry:
    ws = Workspace(folder)
    tree = components.load_yaml(ws.resolved) if ws.resolved.is_file() else {}
    judged = None
    if job.status == "done":
        metrics = disk.read_json(folder / "metrics.json")
        draws = frames.read_csv(ws.draws) if ws.draws.is_file() else None
        judged = Judgement(metrics["candidate"], metrics["data"], draws)
    return Entry(folder, job, tree, judged)


def differing(trees_of: Sequence[Mapping[str, Any]]) -> list[config_trees.Keys]:
    """List the keys that differ, first choices, then values among those of the same choice."""
    found: list[config_trees.Keys] = []
    trees = [(tree["choices"], config_trees.flatten(tree)) for tree in trees_of]
    for keys in dict.fromkeys(keys for _, there in trees for keys in there):
        if keys[0] in {"code", "directions", "fallback", "schema"} or keys[-1] == "_target_":
            continue
        values: dict[str, set[str]] = {}
        for choices, there in trees:
            values.setdefault(choices.get(keys[0], ""), set()).add(_text(there.get(keys)))
        if any(len(seen) > 1 for seen in values.values()):
            found.append(keys)
    return sorted(found, key=lambda keys: keys[0] != "choices")


def names(keys: Sequence[config_trees.Keys]) -> list[str]:
    """Return what a person calls these keys: a choice goes by its group alone."""
    return [config_trees.dotted(one[1:] if one[0] == "choices" else one) for one in keys]


def values(tree: Mapping[str, Any], keys: Sequence[config_trees.Keys]) -> list[str]:
    there = config_trees.flatten(tree)
    return [_text(there.get(key)) for key in keys]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _value(entry: Entry, metric: str) -> float | None:
    return entry.judged.figures.get(metric, {}).get("value") if entry.judged else None


def _short(text: str) -> str:
    """Leave the last digits of a long number to the CSV."""
    try:
        return f"{float(text):.4g}" if "." in text and len(text) > DIGITS else text
    except ValueError:
        return text


def _rows(board: Board, folder: Path) -> list[dict[str, str]]:
    """Write a row a job: what is empty for all of them is left out of the table."""
    apart, rows = differences(board), []
    differing_names = names(board.keys)
    for place, entry in enumerate(board.entries):
        figure = entry.judged.figures.get(board.metric, {}) if entry.judged else {}
        same = [
            str(other + 1)
            for pair, told in apart.items()
            for other in pair
            if place in pair and other != place and told.is_noise
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
    says = f"{board.metric}, ranked {board.by}; intervals are those of the holdout."
    notes = [says] if board.ranked else []
    ids = {entry.holdout_id for entry in board.entries[: board.ranked]}
    if len(ids) > 1:
        notes.append(
            f"{len(ids)} different sets of rows were held out (other source, label or split), so "
            "ranks across them say little and intervals are not paired."
        )
    failed = sum(entry.job.status == "failed" for entry in board.entries)
    if failed:
        notes.append(f"{failed} of {len(board.entries)} jobs failed.")
    return notes
