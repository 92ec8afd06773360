"""The frozen values that flow between steps, and the columns of the frames that go with them."""

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BeforeValidator, PlainSerializer

from cll.types.errors import ConfigError

Table = Literal["signals", "incidents"]
Floats = NDArray[np.float64]
Features = NDArray[np.float32]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

INSTANT = pl.Datetime("us", "UTC")

# A signal is one row of telemetry, or one run with its outcome. Behind these come the numeric
# columns (Float64), and of the optional ones those that the source has: OUTCOME, OUTCOME_KNOWN_AT,
# GROUP, and truth columns.
SIGNAL_KEYS = {"entity": pl.String, "time": INSTANT, "known_at": INSTANT}
OUTCOME = "outcome"  # Float64: 1 failed, 0 did not, null not told
OUTCOME_KNOWN_AT = "outcome_known_at"  # INSTANT: when the outcome could have been known
GROUP = "group"  # String: the entity's group, for slices
TRUTH_PREFIX = "truth_"  # Float64: a simulator's true probability, by label: truth_outcome, ...

# end null: still failing; kind null: not told.
INCIDENTS = {
    "entity": pl.String,
    "start": INSTANT,
    "end": INSTANT,
    "known_at": INSTANT,
    "kind": pl.String,
}

# What is wrong with a record, and where it stands. `row` counts from 1 (a line in JSONL and CSV).
REJECTS = {
    "table": pl.String,
    "file": pl.String,
    "row": pl.Int64,
    "field": pl.String,
    "value": pl.String,
    "reason": pl.String,
}
VALUE_WIDTH = 80  # characters of an offending value that are kept

# What a label says of each signal row, in the rows' order. `incident` numbers the rows of the
# incidents frame from 0, and names the one that a positive row belongs to.
LABELS = {
    "entity": pl.String,
    "time": INSTANT,
    "label": pl.Int8,  # null unless status is "mature"
    "status": pl.String,  # mature | immature | running | uncovered | untold
    "known_at": INSTANT,  # when this label is known
    "incident": pl.Int32,
    "kind": pl.String,
    "chance": pl.Float64,  # the true probability, where a simulator knows it
}

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(text: object) -> timedelta:
    """Read `30m`, `1h30m`, `7d`, or a bare `0`; units are s, m, h, d, w.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(text, timedelta):
        return text
    if text == 0 and not isinstance(text, bool):
        return timedelta(0)
    parts = re.findall(r"(\d+)([smhdw])", text) if isinstance(text, str) else []
    if not parts or "".join(n + unit for n, unit in parts) != text:
        if text == "0":
            return timedelta(0)
        msg = f"{text!r} is not a duration; write 30m, 1h30m, 7d or 0."
        raise ValueError(msg)
    try:
        return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in parts))
    except OverflowError:
        msg = f"{text!r} is longer than a duration can be."
        raise ValueError(msg) from None


def format_duration(span: timedelta) -> str:
    """Write a duration as `parse_duration` reads it.

    >>> format_duration(timedelta(minutes=90))
    '1h30m'
    """
    left, text = int(span.total_seconds()), ""
    for unit in "dhms":
        count, left = divmod(left, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0"


def parse_instant(text: object) -> datetime:
    """Read an ISO 8601 instant that names its zone; the result is in UTC.

    >>> parse_instant("2026-01-31T00:00:00Z")
    datetime.datetime(2026, 1, 31, 0, 0, tzinfo=datetime.timezone.utc)
    """
    if not isinstance(text, str | datetime):
        msg = f'{text!r} is not an instant; write it quoted: "2026-01-31T00:00:00Z".'
        raise ValueError(msg)  # noqa: TRY004  pydantic turns ValueError into its own
    try:
        instant = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    except ValueError:
        msg = f'{text!r} is not an instant; write it like "2026-01-31T00:00:00Z".'
        raise ValueError(msg) from None
    if instant.tzinfo is None:
        msg = f"{text} names no time zone; append Z for UTC."
        raise ValueError(msg)
    return instant.astimezone(UTC)


def format_instant(instant: datetime) -> str:
    """Write an instant as config and artifacts do.

    >>> format_instant(datetime(2026, 1, 31, tzinfo=UTC))
    '2026-01-31T00:00:00Z'
    """
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


# The annotations of a component's fields, as a YAML file writes them.
Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
Instant = Annotated[datetime, BeforeValidator(parse_instant), PlainSerializer(format_instant)]


@dataclass(frozen=True)
class Columns:
    """What a source's signals hold beside SIGNAL_KEYS."""

    numeric: tuple[str, ...]  # may become features
    outcome: bool = False  # OUTCOME (and OUTCOME_KNOWN_AT) are there: never features
    group: bool = False
    truth: tuple[str, ...] = ()  # names with TRUTH_PREFIX: never features
    refused: tuple[str, ...] = ()  # named as label columns by the config: never features


@dataclass(frozen=True)
class Header:
    """A header in the middle of a file."""

    row: int  # its line
    text: str
    names: tuple[str, ...] = ()  # of all headers of the file so far, sorted


@dataclass(frozen=True)
class Chunk:
    """Records of one table: `records` = rows + rejects + pending, always."""

    table: Table
    rows: pl.DataFrame  # SIGNAL_KEYS + Columns, or INCIDENTS; plus `file` (String), `row` (Int64)
    rejects: pl.DataFrame  # REJECTS, one row a record
    records: int
    pending: int = 0  # records that are still being written
    header: Header | None = None  # the last one in it, where its file has more than one


@dataclass(frozen=True)
class Piece:
    """Records that a source reads at once.

    Equal keys are equal records: where nothing else changed, a piece is not read again. The key
    holds all that the records follow from, save the source's settings, code and libraries.
    """

    table: Table
    name: str  # where a person finds it
    key: Mapping[str, Any]  # JSON-able
    read: Callable[[], Chunk]


@dataclass(frozen=True)
class Tail:
    """Bytes at the end of a file that are no whole record yet."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Arrival:
    """When a file's first `size` bytes were first seen; `as_of` is the world's, never the clock's."""

    file: str
    sha256: str  # of these bytes
    as_of: datetime
    size: int
    tail: Tail | None = None  # the file's rest, where that was pending

    @property
    def total(self) -> int:
        """The bytes of the whole file."""
        return self.size + (self.tail.size if self.tail else 0)


@dataclass(frozen=True)
class Part:
    """Bytes of a file that hold whole records and arrived together."""

    start: int
    stop: int
    row: int  # the number of the first line in it, from 1
    sha256: str  # of these bytes
    as_of: datetime  # when they were first seen
    header: Header | None = None  # the last one before it; None: the one at the file's top


@dataclass(frozen=True)
class Arrived:
    """A file as it lies there now, in parts that are small enough to be read at once."""

    file: str
    sha256: str  # of its whole records' bytes
    parts: tuple[Part, ...]
    torn: bool = False  # behind them stands a record that is still being written


@dataclass(frozen=True)
class Counts:
    """What became of the records: `records_in` = kept + quarantined + duplicate + pending."""

    records_in: int = 0
    kept: int = 0
    quarantined: int = 0
    duplicate: int = 0
    pending: int = 0


RECORDS = (
    "{in:,} in = {kept:,} kept + {quarantined:,} quarantined + {duplicate:,} duplicate"
    " + {pending:,} pending"
)


@dataclass(frozen=True)
class Split:
    """Which labelled rows a model may learn from, and which judge it; masks over the same rows."""

    train: Flags
    holdout: Flags
    boundary: datetime | None  # the holdout starts here; None when not split in time


# Returns a file that was made once of what the mapping says, by anyone; the callable makes it.
Keep = Callable[[Mapping[str, Any], Callable[[Path], None]], Path]


@dataclass(frozen=True)
class Matrix:
    """Rows to learn from or to score: NaN is a missing value."""

    X: Features  # (rows, features)
    y: Floats  # 0 or 1
    names: tuple[str, ...]
    keep: Keep | None = field(default=None, compare=False)  # for what an estimator makes of them

    @cached_property
    def sha256(self) -> str:
        """The digest of the very rows, labels and names: the key of what follows from them."""
        told = hashlib.sha256(repr((self.names, self.X.shape)).encode())
        told.update(np.ascontiguousarray(self.X, dtype=np.float32).data)
        told.update(np.ascontiguousarray(self.y, dtype=np.float64).data)
        return told.hexdigest()


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows with one model's answers, sorted by `p` from high to low, ties by row.

    Equal to itself alone, so that what follows from it can be remembered.
    """

    y: Floats  # 0 or 1
    p: Floats  # probability of 1
    alert: Flags  # p at or above the model's threshold
    unchanged: Floats  # what no-change says (0 or 1), NaN where it knows nothing yet


@dataclass(frozen=True)
class Rule:
    """One rule of the gate: `outcome` is whether `value` respects `bound`."""

    name: str
    value: float | str | None
    bound: float | str | None
    outcome: Literal["passed", "failed", "not enough evidence", "noted"]
    says: str  # one sentence for a person


@dataclass(frozen=True)
class Verdict:
    """The gate's answer on one candidate."""

    answer: Literal["promote", "reject", "not enough evidence"]
    model_id: str
    champion: str  # "none" when there is no model in force
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Released:
    """A release as a mirror of the ledger shows it."""

    version: str
    commit: str  # which brought its entry
    says: str


@dataclass(frozen=True)
class Lineage:
    """Where a model comes from, all of it reproducible: no clock, host or git revision."""

    config: dict[str, Any]
    data_sha256: str
    train_from: str  # of all that it learnt from, also by way of its base
    train_until: str
    rows: int  # that this training was given
    positives: int
    libraries: dict[str, str]
    notes: dict[str, Any] = field(default_factory=dict)
    base: str = "none"  # model_id of the model that it goes on from
    base_rows: int = 0  # that the trainings before were given, back to the one that began afresh


def span(instants: pl.Series) -> tuple[datetime, datetime]:
    """Return the first and the last of instants, of which there is one at least."""
    return cast("datetime", instants.min()), cast("datetime", instants.max())


def is_finite(values: pl.Series) -> bool:
    """Tell whether all floats that are told are finite.

    What is not makes the sum so too. A sum that overflows says False, which costs a closer look.
    """
    return math.isfinite(values.sum())


def config_error(key: str, found: object, way_out: str) -> ConfigError:
    """Build the one-line error of a component that refuses its own settings."""
    return ConfigError(f"{key}={found}: {way_out}")
