"""The state of a project and its loop: read, and nothing written, also while a tick runs."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cll.config.project import load_tree, load_world
from cll.loop import daemon, tick, trigger_report
from cll.model import ledger_entries
from cll.pipeline.ingest import arrival_log, growth, stage
from cll.release import ledger
from cll.system import disk, locks
from cll.system.workspace import Workspace
from cll.types.components import Source
from cll.types.errors import CllError, DataRefused
from cll.types.times import format_instant, parse_instant

_FORM = {"form": "status", "version": 1}
_TICK = frozenset({"as_of", "code", "says", "ended"})
_LOOP = frozenset({"every", "mode"})
_LOOP_RESTS = frozenset({"failures", "next"})


def of(root: Path) -> dict[str, Any]:
    """Return what is known now; what can't be told says why, under `unknown`."""
    ws = Workspace(root, read_only=True)
    parts: dict[str, Callable[[], Any]] = {
        "as_of": lambda: format_instant(load_world(ws).as_of),
        "champion": lambda: _champion(ws),
        "release": lambda: vars(tick.settings(ws)),
        "last_tick": lambda: _kept(root / tick.LAST, _TICK),
        "waits": lambda: waiting(root, stage.source_of(load_tree(ws))),
        "trigger": lambda: trigger_report.as_json(trigger_report.of(ws)),
        "loop": lambda: _loop(root),
    }
    return _FORM | {name: _told(part) for name, part in parts.items()}


def _told(part: Callable[[], Any]) -> Any:
    try:
        return part()
    except (CllError, OSError) as error:
        return {"unknown": str(error)}
    except KeyError as error:
        return {"unknown": f"resolved.yaml: has no {error.args[0]}; run `cll compose`."}


def _champion(ws: Workspace) -> dict[str, str]:
    """Name what is in force, and what will be from the next tick on, where that is another."""
    now, entries = load_world(ws).champion, ledger.read(ws.root).committed
    told = {"model_id": now, "version": _version(entries, now)}
    if entries and (coming := ledger_entries.in_force(entries)) != now:
        told |= {"next_model_id": coming, "next_version": _version(entries, coming)}
    return told


def _version(entries: tuple[ledger_entries.LedgerEntry, ...], model_id: str) -> str:
    found = ledger_entries.find(entries, model_id)
    return found.version if found else "none"


def waiting(root: Path, source: Source) -> dict[str, int]:
    """Count the source's files that are not as they were read, by their sizes alone."""
    chains = growth.chains(arrival_log.read(root / arrival_log.LOG))
    read = {file: growth.length(chain) for file, chain in chains.items()}
    now = {path.as_posix(): path.stat().st_size for path in source.reads}
    ours = getattr(source, "fits", lambda _: False)
    return {
        "files": len(now),
        "new": sum(file not in read for file in now),
        "grown": sum(size > read.get(file, size) for file, size in now.items()),
        "shrunk": sum(size < read.get(file, size) for file, size in now.items()),
        "gone": sum(file not in now and ours(file) for file in read),
    }


def _kept(path: Path, keys: frozenset[str]) -> Any:
    """Read what a tick, or the loop, left for this; None where none did."""
    try:
        kept = disk.read_json(path) if path.is_file() else None
    except DataRefused:
        kept = ()
    if kept is not None and not (isinstance(kept, Mapping) and keys <= set(kept)):
        raise DataRefused(f".cll/{path.name}: damaged; it is written anew by the next tick.")
    return kept


def _loop(root: Path) -> dict[str, Any]:
    """Say whether a loop runs, and what it does or waits for; else why the last one stopped."""
    state = _kept(root / daemon.STATE, _LOOP) or {}
    if state and "ticking" not in state:
        state = _kept(root / daemon.STATE, _LOOP_RESTS)
    return {"runs": locks.is_held(root / daemon.LOCK), **state}


def lines(told: Mapping[str, Any]) -> list[str]:
    """Say it in lines, for a person."""
    says: dict[str, Callable[[Any], str]] = {
        "as_of": _say_as_of,
        "champion": _say_champion,
        "release": lambda one: f"{one['mode']}{', pushed by git' if one['push'] else ''}",
        "last_tick": _say_tick,
        "waits": _say_waits,
        "trigger": _say_trigger,
        "loop": _say_loop,
    }
    found = []
    for name, say in says.items():
        part = told[name]
        unknown = isinstance(part, Mapping) and "unknown" in part
        text = f"can't be told: {part['unknown']}" if unknown else say(part)
        found.append(f"{name.replace('_', ' '):<10} {text}")
    return found


def _say_as_of(as_of: str) -> str:
    if parse_instant(as_of) <= datetime.now(UTC):
        return as_of
    return f"{as_of}, later than now; unless the data are simulated, move it back: cll tick --as-of"


def _say_champion(part: Mapping[str, str]) -> str:
    now = part["model_id"]
    text = now if part["version"] == "none" else f"{part['version']} ({now})"
    if "next_version" in part:
        text += f"; from the next tick on {part['next_version']} ({part['next_model_id']})"
    return text


def _say_tick(part: Mapping[str, Any] | None) -> str:
    if part is None:
        return "none in this clone"
    how = part["says"] or "done"
    return f"to {part['as_of']}, ended {part['ended']} with {part['code']}: {how}"


def _say_waits(part: Mapping[str, int]) -> str:
    if not part["files"] and not part["gone"]:
        return "the source reads no files; it is asked at each tick"
    kinds = [f"{part[kind]} {kind}" for kind in ("new", "grown", "shrunk", "gone") if part[kind]]
    return f"{', '.join(kinds) or 'nothing'}, of {part['files']} files"


def _say_trigger(part: Mapping[str, Any]) -> str:
    rules = [f"{one['name']}: {one['says']}" for one in part["reasons"]]
    return f"{'train' if part['fires'] else 'wait'}; {' '.join(rules)}"


def _say_loop(part: Mapping[str, Any]) -> str:
    if not part["runs"]:
        return "not running"
    mode = f", --mode {part['mode']}" if part["mode"] else ""
    how = f"every {part['every']}{mode}; "
    if "ticking" in part:
        return f"{how}ticking to {part['ticking']} now"
    if part["failures"]:
        return f"{how}{part['failures']} failures in a row, again {part['next']}"
    late = datetime.now(UTC) > datetime.fromisoformat(part["next"])
    return f"{how}next tick {part['next']}{', late' if late else ''}"
