"""A run's result on the terminal: metrics, verdict, and where the model and the report lie.

A project's own verdict counts only where DVC knows of no change since.
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
    """Print what the run in `folder` found; of the project itself also whether that still holds."""
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
    """Say what became of the records."""
    found = disk.read_json(Workspace(folder).reports / "ingest.json")
    return json.dumps(found) if as_json else RECORDS.format(**found)


def verdict(folder: Path, console: Console | None = None) -> int:
    """Print the verdict; return the exit code that goes with its answer.

    Raises the refusal or change since which it is not the verdict of the project as it stands.
    """
    ws = Workspace(folder)
    found = staleness.read_verdict(ws)
    if why := staleness.stale(ws):
        raise why
    _print_verdict(console or own_console(), found)
    return EXIT_CODES[found["answer"]]


def _note_stale(ws: Workspace) -> None:
    """Say that the figures are old; that it can't be told hides no figure."""
    try:
        why = staleness.stale(ws)
    except CllError as error:
        why = error
    if why:
        progress.note(f"stale: {why}")


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


def _print_verdict(console: Console, found: Mapping[str, Any]) -> None:
    style = ANSWER_STYLE[found["answer"]]
    console.print(f"verdict  [bold {style}]{found['answer']}[/]  {found['model_id']}")
    for rule in found["rules"]:
        if rule["outcome"] != "passed":
            _print(console, f"         {rule['outcome']}: {rule['name']}: {rule['says']}")


def _interval(figure: Mapping[str, float]) -> str:
    return f"{_number(figure['low'])} .. {_number(figure['high'])}" if "low" in figure else ""


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)
