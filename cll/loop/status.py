"""Read the state of a project and its loop, also while a tick runs; write nothing."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cll.config import fingerprint
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


def read(root: Path) -> dict[str, Any]:
    """Return the parts of the state; for a part that can't be read, `unknown` has the reason."""
    ws = Workspace(root, read_only=True)
    parts: dict[str, Callable[[], Any]] = {
        "as_of": lambda: format_instant(load_world(ws).as_of),
        "code": lambda: fingerprint.changed(load_tree(ws)),
        "champion": lambda: _champion(ws),
        "release": lambda: vars(tick.settings(ws)),
        "last_tick": lambda: _recorded(root / tick.LAST, _TICK),
        "waits": lambda: waiting(root, stage.source_of(load_tree(ws))),
        "trigger": lambda: trigger_report.as_json(trigger_report.ask_triggers(ws)),
        "loop": lambda: _loop(root),
    }
    return _FORM | {name: _or_unknown(read_part) for name, read_part in parts.items()}


def _or_unknown(read_part: Callable[[], Any]) -> Any:
    try:
        return read_part()
    except (CllError, OSError) as error:
        return {"unknown": str(error)}
    except KeyError as error:
        return {"unknown": f"resolved.yaml: has no {error.args[0]}; run `cll compose`."}


def _champion(ws: Workspace) -> dict[str, str]:
    """Return the champion, and the one from the next tick on if the ledger names another."""
    now, entries = load_world(ws).champion, ledger.read(ws.root).committed
    champion = {"model_id": now, "version": _version(entries, now)}
    if entries and (coming := ledger_entries.in_force(entries)) != now:
        champion |= {"next_model_id": coming, "next_version": _version(entries, coming)}
    return champion


def _version(entries: tuple[ledger_entries.LedgerEntry, ...], model_id: str) -> str:
    entry = ledger_entries.find(entries, model_id)
    return entry.version if entry else "none"


def waiting(root: Path, source: Source) -> dict[str, int]:
    """Count the source's files that changed since ingest read them; only sizes are compared."""
    chains = growth.chains(arrival_log.read(root / arrival_log.LOG))
    ingested = {file: growth.length(chain) for file, chain in chains.items()}
    now = {path.as_posix(): path.stat().st_size for path in source.reads}
    fits = getattr(source, "fits", lambda _: False)
    return {
        "files": len(now),
        "new": sum(file not in ingested for file in now),
        "grown": sum(size > ingested.get(file, size) for file, size in now.items()),
        "shrunk": sum(size < ingested.get(file, size) for file, size in now.items()),
        "gone": sum(file not in now and fits(file) for file in ingested),
    }


def _recorded(path: Path, keys: frozenset[str]) -> Any:
    """Read the state that a tick or the loop wrote; return None if neither wrote one yet."""
    try:
        state = disk.read_json(path) if path.is_file() else None
    except DataRefused:
        state = ()
    if state is not None and not (isinstance(state, Mapping) and keys <= set(state)):
        raise DataRefused(f".cll/{path.name}: damaged; it is written anew by the next tick.")
    return state


def _loop(root: Path) -> dict[str, Any]:
    """Return whether a loop runs, and the state that the running or the last one wrote."""
    state = _recorded(root / daemon.STATE, _LOOP) or {}
    if state and "ticking" not in state:
        state = _recorded(root / daemon.STATE, _LOOP_RESTS)
    return {"runs": locks.is_held(root / daemon.LOCK), **state}


def lines(state: Mapping[str, Any]) -> list[str]:
    """Return the state as lines for a person, one for each part."""
    formats: dict[str, Callable[[Any], str]] = {
        "as_of": _format_as_of,
        "code": _format_code,
        "champion": _format_champion,
        "release": lambda part: f"{part['mode']}{', pushed by git' if part['push'] else ''}",
        "last_tick": _format_tick,
        "waits": _format_waits,
        "trigger": _format_trigger,
        "loop": _format_loop,
    }
    formatted = []
    for name, format_part in formats.items():
        part = state[name]
        unknown = isinstance(part, Mapping) and "unknown" in part
        text = f"unknown: {part['unknown']}" if unknown else format_part(part)
        formatted.append(f"{name.replace('_', ' '):<10} {text}")
    return formatted


def _format_as_of(as_of: str) -> str:
    if parse_instant(as_of) <= datetime.now(UTC):
        return as_of
    return f"{as_of}, later than now; unless the data are simulated, move it back: cll tick --as-of"


def _format_code(stages: Sequence[str]) -> str:
    if not stages:
        return "as composed"
    return f"changed since it was composed, for {', '.join(stages)}; run `dvc repro`"


def _format_champion(part: Mapping[str, str]) -> str:
    now = part["model_id"]
    text = now if part["version"] == "none" else f"{part['version']} ({now})"
    if "next_version" in part:
        text += f"; from the next tick on {part['next_version']} ({part['next_model_id']})"
    return text


def _format_tick(part: Mapping[str, Any] | None) -> str:
    if part is None:
        return "none in this clone"
    how = part["says"] or "done"
    return f"to {part['as_of']}, ended {part['ended']} with {part['code']}: {how}"


def _format_waits(part: Mapping[str, int]) -> str:
    if not part["files"] and not part["gone"]:
        return "the source reads no files; each tick asks it for new records"
    kinds = [f"{part[kind]} {kind}" for kind in ("new", "grown", "shrunk", "gone") if part[kind]]
    return f"{', '.join(kinds) or 'nothing'}, of {part['files']} files"


def _format_trigger(part: Mapping[str, Any]) -> str:
    rules = [f"{reason['name']}: {reason['says']}" for reason in part["reasons"]]
    return f"{'train' if part['fires'] else 'wait'}; {' '.join(rules)}"


def _format_loop(part: Mapping[str, Any]) -> str:
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
