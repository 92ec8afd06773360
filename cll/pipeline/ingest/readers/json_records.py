"""Collect decoded JSON records into frames of the wanted columns, in batches.

A decoded record takes many times the memory of its text, so only the wanted columns are kept.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from cll.pipeline.ingest.readers.json_pattern import TwiceError, unique
from cll.pipeline.ingest.readers.records import (
    NESTED,
    NOT_UTF8,
    Fault,
    Records,
    Wanted,
    alike,
    faults_frame,
    refuse_lacking,
)

_BATCH = 2**20  # bytes of text whose decoded records are held at once
_FAULTS = 2**14  # faults that are held as tuples
_KEYS = 2**12  # at most this many keys are remembered; after that, only wanted ones

DECODER = json.JSONDecoder(
    object_pairs_hook=unique, parse_int=str, parse_float=str, parse_constant=str
)


class RecordCollector:
    """Collector of records; `has` holds the keys of records that another collector has."""

    def __init__(self, wanted: Wanted, has: set[str] | None = None) -> None:
        self._wanted = wanted
        self._names = frozenset(wanted.columns)
        self._has = set(has or ())
        self._any = bool(has)
        self._held: list[tuple[int, dict[str, Any]]] = []
        self._held_bytes = 0
        self._faults: list[Fault] = []
        self._rows: list[pl.DataFrame] = []
        self._at: list[Any] = []
        self._wrong: list[pl.DataFrame] = []

    def take(self, number: int, record: Any, size: int) -> None:
        """Add a record that was decoded from `size` bytes."""
        if not isinstance(record, dict):
            self.fault((number, None, str(record), "not an object"))
            return
        self._any = True
        self._has.update(record if len(self._has) < _KEYS else record.keys() & self._names)
        self._held.append((number, record))
        self._held_bytes += size
        if self._held_bytes > _BATCH:
            self._flush()

    def fault(self, fault: Fault) -> None:
        """Add a fault."""
        self._faults.append(fault)
        if len(self._faults) > _FAULTS:
            self._flush()

    def records(self) -> Records:
        """Return all records; raise DataRefused if none of them has a needed key."""
        if self._any and self._wanted.needed:
            unmapped = sorted(self._has.difference(self._names))
            # Telemetry may be sparse: an absent number is an error only if a similar key exists.
            wanted = self._wanted
            missed = (n for n in wanted.needed if n not in wanted.numbers or n in self._has)
            renamed = (n for n in wanted.numbers if n not in self._has and alike(n, unmapped))
            refuse_lacking(sorted(self._has), [*missed, *sorted(renamed)])
        self._flush()
        at = np.concatenate([np.zeros(0, dtype=np.int64), *self._at])
        wrong = pl.concat([faults_frame([]), *self._wrong]).sort("row", maintain_order=True)
        return Records(pl.concat([_frame([], self._wanted.columns), *self._rows]), at, wrong)

    def _flush(self) -> None:
        objects: Sequence[tuple[int, dict[str, Any]]] = self._held
        if objects:
            try:
                rows = _frame([record for _, record in objects], self._wanted.columns)
            except (TypeError, UnicodeEncodeError):
                results = [(n, _texts(record, self._wanted.columns)) for n, record in objects]
                self._faults += [(n, *texts) for n, texts in results if isinstance(texts, tuple)]
                objects = [(n, texts) for n, texts in results if isinstance(texts, dict)]
                rows = _frame([texts for _, texts in objects], self._wanted.columns)
            self._rows.append(rows)
            self._at.append(np.array([n for n, _ in objects], dtype=np.int64))
        if self._faults:
            self._wrong.append(faults_frame(self._faults))
        self._held, self._held_bytes, self._faults = [], 0, []


def reason_of(why: Exception) -> str:
    """Return the reason for a JSON error."""
    if isinstance(why, UnicodeDecodeError):
        return NOT_UTF8
    if isinstance(why, TwiceError):
        return str(why)
    return f"not JSON: {'nested too deep' if isinstance(why, RecursionError) else why}"


def _frame(records: Sequence[dict[str, Any]], wanted: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {name: pl.Series([r.get(name) for r in records], dtype=pl.String) for name in wanted}
    )


def _texts(
    record: dict[str, Any], wanted: Sequence[str]
) -> dict[str, str | None] | tuple[str, str, str]:
    """Return the wanted values as text, or field, value and reason of the first that has none."""
    texts: dict[str, str | None] = {}
    for name in wanted:
        value = record.get(name)
        text = str(value).lower() if isinstance(value, bool) else value
        if text is not None and not isinstance(text, str):
            return name, str(value), NESTED
        if text is not None and any("\ud800" <= letter <= "\udfff" for letter in text):
            return name, text, NOT_UTF8
        texts[name] = text
    return texts
