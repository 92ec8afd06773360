"""Listing of the released versions, as a table or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from rich.table import Table

from cll.model import ledger_entries
from cll.model.ledger_entries import NONE, LedgerEntry
from cll.release import ledger
from cll.system import console
from cll.types.errors import ConfigError
from cll.types.times import parse_instant

_DAY = len("2026-01-31")


def show_all(root: Path, *, as_json: bool) -> None:
    """Print the ledger's entries, oldest first; a star marks the champion."""
    entries = ledger.read(root).entries
    if as_json:
        _print(json.dumps([asdict(entry) for entry in entries]))
        return
    if not entries:
        _print("Nothing was released yet.")
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "version", "kind", "model", "as of", "released at", "why"):
        shown.add_column(
            name, overflow="fold" if name == "why" else "ellipsis", no_wrap=name != "why"
        )
    for number, entry in enumerate(entries, 1):
        mark = "*" if number == len(entries) else ""
        row = (entry.version, entry.kind, entry.model_id, entry.as_of, entry.instant, entry.why)
        shown.add_row(mark, *row)
    console.own_console().print(shown, markup=False)


def show_one(root: Path, version: str) -> None:
    """Print the entries of one version: its release and its rollbacks."""
    entries = ledger.read(root).entries
    ledger_entries.released(entries, version)
    for entry in entries:
        if version in {entry.version, entry.model_id}:
            _print(json.dumps(asdict(entry), indent=2, ensure_ascii=False))


def at(root: Path, date: str) -> str:
    """Return the version that was the champion at an instant; a date means its first instant."""
    entry = in_force_at(ledger.read(root).entries, instant(date))
    return NONE if entry is None else str(entry)


def in_force_at(entries: Sequence[LedgerEntry], when: datetime) -> LedgerEntry | None:
    """Return the last entry before `when`; an entry takes effect at the tick after its `as_of`."""
    earlier = [entry for entry in entries if parse_instant(entry.as_of) < when]
    return earlier[-1] if earlier else None


def instant(date: str) -> datetime:
    """Parse an instant, or a date as its first instant in UTC."""
    try:
        return parse_instant(f"{date}T00:00:00Z" if len(date) == _DAY else date)
    except ValueError as error:
        raise ConfigError(f"{date}: {error}") from None


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201  the output of the command
