"""Data classes of the data schema, and its text form in registry/schema.yaml for review."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import yaml
from annotated_types import Ge, Interval
from pydantic import ConfigDict, TypeAdapter, ValidationError

from cll.types.errors import ConfigError

DIGITS = 6  # significant digits, few enough for a review
HEADING = """\
# What the data are known to look like, a section a source. Ingest refuses what does not fit.
#   cll schema show | diff | accept        the settings: conf/ingest/default.yaml
# [a, b]: the lowest and the highest of a day. rate and spread: the usual, and from day to day.
"""

Share = Annotated[float, Interval(ge=0, le=1)]
Range = tuple[float, float]  # lowest and highest value of any day
Counts = tuple[Annotated[int, Ge(0)], Annotated[int, Ge(0)]]


@dataclass(frozen=True)
class Column:
    """Statistics of a numeric column; null where no day had a value."""

    unit: str | None  # unit of the stored values, if the config names one
    nulls: Share  # highest share of a day's rows
    low: float | None  # lowest of all values
    high: float | None
    q01: Range | None
    median: Range | None
    q99: Range | None
    scale: Range | None  # median absolute value of the nonzero values


@dataclass(frozen=True)
class Rate:
    """The usual rate of an event, and its variation from day to day."""

    rate: Annotated[float, Ge(0)]  # the usual rate
    spread: Annotated[float, Ge(0)]  # standard deviation of the rate's logarithm, or log-odds
    range: Range


@dataclass(frozen=True)
class OutcomeRates:
    """Outcome statistics: `told` is the lowest share of rows with an outcome on a full day."""

    rate: Rate | None  # share of failed rows among rows with an outcome; null: no row has one yet
    told: Share


@dataclass(frozen=True)
class Schema:
    """Statistics of the days from `since` to `until`; entities and groups count full days only."""

    since: str
    until: str
    days: Annotated[int, Ge(1)]
    hours: Range  # hours of day of the usual first and last row
    entities: Counts
    groups: dict[str, Counts]  # lowest and highest number of entities
    columns: dict[str, Column]
    outcome: OutcomeRates | None  # null: the source has no outcome
    incidents: Rate | None  # incidents per entity and day; null: not known


_ADAPTER = TypeAdapter(dict[str, Schema], config=ConfigDict(extra="forbid"))


def as_tree(schema: Schema) -> dict[str, Any]:
    """Return a schema as plain data, with numbers rounded to DIGITS."""
    return {name: _plain(value) for name, value in asdict(schema).items()}


def from_tree(tree: Mapping[str, Any], where: str) -> dict[str, Schema]:
    """Parse the sections of a file; raise ConfigError naming `where` for a wrong key or type."""
    try:
        return _ADAPTER.validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    says = first["msg"].replace("\n", " ").rstrip(".")
    way = "restore it from git, or write it anew by `cll schema accept`"
    raise ConfigError(f"{where}: {key}: {says[0].lower()}{says[1:]}; {way}.")


def as_text(sections: Mapping[str, Schema]) -> str:
    """Return the text of the schema file; equal schemas give equal text.

    It is `yaml.safe_dump` of `as_tree`, except that a name that looks like a number is quoted.
    """
    tree = {name: as_tree(schema) for name, schema in sections.items()}
    return HEADING + yaml.dump(  # _SchemaDumper is a SafeDumper
        tree, Dumper=_SchemaDumper, default_flow_style=None, width=100, allow_unicode=True
    )


def rounded(value: float) -> float:
    """Return a number rounded to DIGITS significant digits."""
    return float(f"{value:.{DIGITS}g}")


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return rounded(value) if isinstance(value, float) else value


class _SchemaDumper(yaml.SafeDumper):
    """A YAML writer without aliases; it quotes text like 1e5, which our reader takes as a number."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


_SchemaDumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)
