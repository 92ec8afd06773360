"""Settings of source=files that map published tables to ours: columns, units and time formats."""

from dataclasses import dataclass, field

from cll.pipeline.ingest.readers import casting, times
from cll.pipeline.ingest.readers.fields import Field, Kind
from cll.types.errors import config_error
from cll.types.tables import GROUP, LABELS, OUTCOME, OUTCOME_KNOWN_AT, TRUTH_PREFIX
from cll.types.times import Duration, Instant

Mapped = dict[str, str | None]  # canonical name to published name; None: no such column

_SIGNAL_KINDS: dict[str, Kind] = {
    "entity": "name",
    "time": "instant",
    "known_at": "instant",
    GROUP: "name",
    OUTCOME: "outcome",
    OUTCOME_KNOWN_AT: "instant",
}
_INCIDENT_KINDS: dict[str, Kind] = {
    "entity": "name",
    "start": "instant",
    "end": "instant",
    "known_at": "instant",
    "kind": "name",
}
_RESERVED = frozenset(
    {"failed", "file", "row", "date", "start", "end", "part", "p", *LABELS} - {*_SIGNAL_KINDS}
)


def _as_published() -> Mapped:
    numeric = ("cpu_usage", "memory_usage", "error_rate", "response_time")
    return {"entity": "entity", "time": "time", **{n: n for n in numeric}, OUTCOME: "failed"}


def _intervals() -> Mapped:
    return {n: n for n in ("entity", "start", "end", "kind")}


@dataclass(frozen=True)
class Clock:
    """The time of rows without a time column, computed from the row number in their single file."""

    start: Instant
    step: Duration


@dataclass(frozen=True)
class Signals:
    """The table of telemetry, or of runs with their outcome."""

    files: tuple[str, ...] = ("**/*",)
    columns: Mapped = field(default_factory=_as_published)
    time_format: str = "iso"
    zone: str | None = "UTC"
    scale: dict[str, float] = field(default_factory=dict)
    unit: dict[str, str] = field(default_factory=dict)
    entity_default: str | None = None
    clock: Clock | None = None

    def __post_init__(self) -> None:
        key = "source.signals.columns"
        reserved = [n for n in self.columns if n in _RESERVED or n.startswith(TRUTH_PREFIX)]
        if reserved:
            way = f"the name is reserved; the outcome is {OUTCOME}, others are free."
            raise config_error(f"{key}.{reserved[0]}", self.columns[reserved[0]], way)
        if (self.column("entity") is None) == (self.entity_default is None):
            way = "name a column, or else set signals.entity_default."
            raise config_error(f"{key}.entity", self.column("entity"), way)
        if (self.column("time") is None) == (self.clock is None):
            way = "name a column, or else set signals.clock."
            raise config_error(f"{key}.time", self.column("time"), way)
        casting.check_units("source.signals", self.numeric, self.scale, self.unit)
        if not self.fields:
            raise config_error(key, self.columns, "names no column.")
        times.check_times("source.signals", self.time_format, self.zone)

    def column(self, name: str) -> str | None:
        return self.columns.get(name)

    @property
    def numeric(self) -> tuple[str, ...]:
        # Sorted, since composing a config may sort its keys.
        return tuple(sorted(n for n, c in self.columns.items() if c and n not in _SIGNAL_KINDS))

    @property
    def fields(self) -> list[Field]:
        numbers = [
            Field(n, self.columns[n] or "", "number", *casting.factors(n, self.scale, self.unit))
            for n in self.numeric
        ]
        return casting.fields(self.columns, _SIGNAL_KINDS, self.time_format, self.zone) + numbers


@dataclass(frozen=True)
class Incidents:
    """The table of intervals in which an entity failed; a blank end means still failing."""

    files: tuple[str, ...]
    columns: Mapped = field(default_factory=_intervals)
    time_format: str = "iso"
    zone: str | None = "UTC"

    def __post_init__(self) -> None:
        key = "source.incidents.columns"
        unknown = [n for n in self.columns if n not in _INCIDENT_KINDS]
        if unknown:
            way = f"there are: {', '.join(_INCIDENT_KINDS)}."
            raise config_error(f"{key}.{unknown[0]}", self.columns[unknown[0]], way)
        lacking = [n for n in ("entity", "start", "end") if self.columns.get(n) is None]
        if lacking:
            raise config_error(f"{key}.{lacking[0]}", None, "name the published column.")
        times.check_times("source.incidents", self.time_format, self.zone)

    @property
    def fields(self) -> list[Field]:
        return casting.fields(self.columns, _INCIDENT_KINDS, self.time_format, self.zone)
