"""A run's result on the terminal: metrics, verdict, and where the model and the report lie.

A project's own verdict counts only where DVC knows of no change since.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cll import config, progress, store
from cll.errors import CllError, ConfigError, DataRefused, Unavailable
from cll.programs import for_child as for_child  # noqa: PLC0414  asked for here as well
from cll.values import RECORDS, format_instant
from cll.workspace import Workspace, load_world

WIDTH = 200  # characters of a line where no terminal says
ANSWER_STYLE = {"promote": "green", "reject": "red", "not enough evidence": "yellow"}
EXIT_CODES = {"promote": 0, "reject": 10, "not enough evidence": 11}
SIMULATED = "source   simulated: the source's folder is missing (fallback)"
# A clone without DVC's cache lacks what is large; what it has says whether the verdict holds.
_ABSENT = {"deleted", "not in cache"}
_RELEASED = "registry/models/"
# What a tick leaves as it is where no trigger fires, though these went on.
_TAUGHT = {"train", "evaluate", "gate", "report"}
_GOES_ON = {
    *("data/signals", "data/features", "data/signals/quarantine.parquet"),
    *("world.yaml: as_of", "world.yaml: champion"),
}


def show(folder: Path, console: Console | None = None, title: str = "") -> None:
    """Print what the run in `folder` found; of the project itself also whether that still holds."""
    console = console or own_console()
    ws = Workspace(folder)
    metrics = store.read_json(folder / "metrics.json")
    if folder == Path():
        _note_stale(ws)
    if title:
        _print(console, title)
    console.print(_metrics(metrics))
    for line in _facts(metrics):
        _print(console, line)
    _print_verdict(console, read_verdict(ws))
    _print(console, f"model    {near(ws.candidate)}")
    _print(console, f"report   {near(ws.reports / 'report.html')}")
    _print(console, f"metrics  {near(folder / 'metrics.json')}")


def counts(folder: Path, *, as_json: bool) -> str:
    """Say what became of the records."""
    found = store.read_json(Workspace(folder).reports / "ingest.json")
    return json.dumps(found) if as_json else RECORDS.format(**found)


def verdict(folder: Path, console: Console | None = None) -> int:
    """Print the verdict; return the exit code that goes with its answer.

    Raises the refusal or change since which it is not the verdict of the project as it stands.
    """
    ws = Workspace(folder)
    found = read_verdict(ws)
    if why := stale(ws):
        raise why
    _print_verdict(console or own_console(), found)
    return EXIT_CODES[found["answer"]]


def stale(ws: Workspace) -> CllError | None:
    """Say why the verdict is not the one of the project as it stands, or None."""
    changes = list(_changes(_status(ws.root)))
    if changes and (refused := _refused(ws)):
        return refused
    for stage, why in _due(ws.root, changes).items():
        return ConfigError(f"{stage}: {why} since the verdict; run `dvc repro`.")
    form = ws.candidate / "model.json"
    if form.is_file() and store.read_json(form)["model_id"] != read_verdict(ws)["model_id"]:
        return ConfigError(f"{form}: is not the model of reports/verdict.json; run `dvc repro`.")
    return None


def would_run(root: Path) -> dict[str, str]:
    """Say of each stage that `dvc repro` would run why. What only DVC's cache lacks is no reason.

    Nor is it that data came in, where the triggers said that they ask for no training.
    What follows from these stages is not told: DVC can't look through a stage that it has to run.
    """
    changes, decided = list(_changes(_status(root))), _decided(root)
    return _due(
        root, [c for c in changes if not (decided and c[0] in _TAUGHT and c[1] in _GOES_ON)]
    )


def _decided(root: Path) -> bool:
    """Tell whether the triggers, asked at this `as_of`, said not to train."""
    told = root / "reports" / "trigger.json"
    if not told.is_file():
        return False
    found, world = store.read_json(told), load_world(Workspace(root))
    return not found["fires"] and found["as_of"] == format_instant(world.as_of)


def _due(root: Path, changes: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    in_git = _in_git(root) if changes else set()
    due: dict[str, str] = {}
    for stage, path, word in changes:
        if word not in _ABSENT or (word == "deleted" and path in in_git):
            due.setdefault(stage, f"{path} is {word}")
    return due


def _in_git(root: Path) -> set[str]:
    """Name what a clone has, also without DVC's cache: code, conf/, and what is not cached."""
    stages = config.load_yaml(root / "dvc.yaml").get("stages", {}).values()
    deps = {str(dep) for stage in stages for dep in stage.get("deps", ())}
    made = [out for stage in stages for key in ("outs", "metrics") for out in stage.get(key, ())]
    options = {name: o for out in made if isinstance(out, Mapping) for name, o in out.items()}
    uncached = {name for name, o in options.items() if o and o.get("cache") is False}
    return uncached | {dep for dep in deps if Path(dep).parts[0] in {"cll", "conf"}}


def near(path: Path) -> Path:
    """Write a path as seen from the current folder, if it lies below."""
    return (
        path.resolve().relative_to(Path.cwd())
        if path.resolve().is_relative_to(Path.cwd())
        else path
    )


def own_console() -> Console:
    # A pipe or file has no width, and a sentence cut in two can't be searched for.
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, soft_wrap=True)


def _note_stale(ws: Workspace) -> None:
    """Say that the figures are old; that it can't be told hides no figure."""
    try:
        why = stale(ws)
    except CllError as error:
        why = error
    if why:
        progress.note(f"stale: {why}")


def _status(folder: Path) -> Mapping[str, Any]:
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    done = subprocess.run(  # noqa: S603  our own arguments
        command, cwd=folder, env=for_child(), capture_output=True, text=True, check=False
    )
    try:
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except ValueError:
        found = None
    if not isinstance(found, Mapping):
        says = (done.stderr.strip().splitlines() or ["no word"])[0].removeprefix("ERROR: ")
        raise Unavailable(f"`dvc status` can't tell what changed: {says.rstrip('.')}; run it.")
    return found


def _changes(status: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield stage, path and what became of it."""
    for stage, entries in status.items():
        if stage.startswith(_RELEASED):  # no stage reads these without a check of its own
            continue
        for entry in entries:
            if not isinstance(entry, Mapping):  # "changed command"
                yield stage, str(entry).removeprefix("changed "), "changed"
                continue
            for path, word in (item for paths in entry.values() for item in paths.items()):
                if isinstance(word, Mapping):  # parameters: one that is gone is no missing file
                    key, what = next(iter(word.items()))
                    yield stage, f"{path}: {key}", "removed" if what == "deleted" else what
                else:
                    yield stage, path, word


def _refused(ws: Workspace) -> CllError | None:
    """Return what the stage said that failed last."""
    try:
        found = store.read_json(ws.reports / "refusal.json")
        error = CllError(str(found["says"]))
        error.exit_code = int(found["exit_code"])
    except (CllError, TypeError, KeyError, ValueError):
        return None
    return error


def read_verdict(ws: Workspace) -> Mapping[str, Any]:
    """Read the gate's answer, whether or not it still holds."""
    path = ws.reports / "verdict.json"
    found = store.read_json(path)
    if not isinstance(found, Mapping) or found.get("answer") not in EXIT_CODES:
        raise DataRefused(f"{path}: not a verdict; run `dvc repro` again.")
    return found


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
