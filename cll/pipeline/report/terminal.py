"""Print a run's result: metrics, verdict, and the paths of the model and the report.

The project's own verdict is valid only if no file that it depends on has changed, as DVC sees it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cll.system import disk, progress
from cll.system.console import _print, near, own_console
from cll.system.workspace import Workspace
from cll.types.errors import CllError
from cll.types.records import RECORDS
from cll.vcs import staleness

ANSWER_STYLE = {"promote": "green", "reject": "red", "not enough evidence": "yellow"}
EXIT_CODES = {"promote": 0, "reject": 10, "not enough evidence": 11}
SIMULATED = "source   simulated: the source's folder is missing (fallback)"


def show(folder: Path, console: Console | None = None, title: str = "") -> None:
    """Print the result of the run in `folder`; warn if the project has changed since its own run."""
    console = console or own_console()
    ws = Workspace(folder)
    metrics = disk.read_json(folder / "metrics.json")
    if folder == Path():
        _note_stale(ws)
    if title:
        _print(console, title)
    console.print(_metrics(metrics))
    for line in _facts(metrics):
        _print(console, line)
    _print_verdict(console, staleness.read_verdict(ws))
    _print(console, f"model    {near(ws.candidate)}")
    _print(console, f"report   {near(ws.reports / 'report.html')}")
    _print(console, f"metrics  {near(folder / 'metrics.json')}")


def counts(folder: Path, *, as_json: bool) -> str:
    """Return the counts of records in, kept, quarantined, duplicate and pending."""
    records = disk.read_json(Workspace(folder).reports / "ingest.json")
    return json.dumps(records) if as_json else RECORDS.format(**records)


def verdict(folder: Path, console: Console | None = None) -> int:
    """Print the verdict; return the exit code of its answer.

    Raises an error where the project has changed, or a stage has failed, since the verdict.
    """
    ws = Workspace(folder)
    current = staleness.read_verdict(ws)
    if error := staleness.stale(ws):
        raise error
    _print_verdict(console or own_console(), current)
    return EXIT_CODES[current["answer"]]


def _note_stale(ws: Workspace) -> None:
    """Print a note if the figures are stale, or if DVC can't check it; raise nothing."""
    try:
        reason = staleness.stale(ws)
    except CllError as error:
        reason = error
    if reason:
        progress.note(f"stale: {reason}")


def _metrics(metrics: Mapping[str, Any]) -> Table:
    baselines = metrics.get("baseline", {})
    champion = metrics.get("champion", {})
    table = Table("metric", "candidate", "95 %", box=None, pad_edge=False, header_style="bold")
    for name in [*(["champion"] if champion else []), *baselines]:
        table.add_column(name.replace("_", " "), justify="right")
    for name, figure in metrics["candidate"].items():
        row = [name.replace("_", " "), _number(figure.get("value")), _interval(figure)]
        row += [_number(champion[name].get("value")) if name in champion else ""] * bool(champion)
        row += [_number(values.get(name)) for values in baselines.values()]
        table.add_row(*row)
    return table


def _facts(metrics: Mapping[str, Any]) -> list[str]:
    lines = []
    if gap := metrics.get("gap"):
        best = metrics.get("bayes", {})
        lines += [
            f"best possible {name.replace('_', ' ')} {_number(best.get(name))}: gap {_number(gap[name])}"
            for name in gap
        ]
    if events := metrics.get("events"):
        lines.append(
            "events   "
            + ", ".join(f"{k.replace('_', ' ')} {_number(v)}" for k, v in events.items())
        )
    if isinstance(metrics["data"].get("fallback"), str):
        lines.append(SIMULATED)
    return [*lines, f"records  {RECORDS.format(**metrics['data'])}"]


def _print_verdict(console: Console, current: Mapping[str, Any]) -> None:
    """Print the answer and the rules that did not pass."""
    style = ANSWER_STYLE[current["answer"]]
    console.print(f"verdict  [bold {style}]{current['answer']}[/]  {current['model_id']}")
    for rule in current["rules"]:
        if rule["outcome"] != "passed":
            _print(console, f"         {rule['outcome']}: {rule['name']}: {rule['says']}")


def _interval(figure: Mapping[str, float]) -> str:
    return f"{_number(figure['low'])} .. {_number(figure['high'])}" if "low" in figure else ""


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)
