"""What data are known to look like, and the text of it that people review in registry/schema.yaml."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import yaml
from annotated_types import Ge, Interval
from pydantic import ConfigDict, TypeAdapter, ValidationError

from cll.types.errors import ConfigError

DIGITS = 6  # significant ones that a person may have to review
HEADING = """\
# What the data are known to look like, a section a source. Ingest refuses what does not fit.
#   cll schema show | diff | accept        the settings: conf/ingest/default.yaml
# [a, b]: the lowest and the highest of a day. rate and spread: the usual, and from day to day.
"""

Share = Annotated[float, Interval(ge=0, le=1)]
Range = tuple[float, float]  # the lowest and the highest of a day
Counts = tuple[Annotated[int, Ge(0)], Annotated[int, Ge(0)]]


@dataclass(frozen=True)
class Column:
    """A numeric column; null where no day had a value."""

    unit: str | None  # that it is kept in, as far as the config tells
    nulls: Share  # of a day's rows, at most
    low: float | None  # of all values
    high: float | None
    q01: Range | None
    median: Range | None
    q99: Range | None
    scale: Range | None  # the median size of what is not 0


@dataclass(frozen=True)
class Rate:
    """How often something comes, and how much that differs from day to day."""

    rate: Annotated[float, Ge(0)]  # the usual
    spread: Annotated[float, Ge(0)]  # standard deviation of its logarithm, or log-odds
    range: Range


@dataclass(frozen=True)
class Outcome:
    """`rate` of failed rows, of those that tell; `told` is a full day's least share of those."""

    rate: Rate | None  # null: no outcome was told yet
    told: Share


@dataclass(frozen=True)
class Schema:
    """What the days from `since` to `until` looked like; entities and groups: on full ones."""

    since: str
    until: str
    days: Annotated[int, Ge(1)]
    hours: Range  # at which a day's first and last rows usually are
    entities: Counts
    groups: dict[str, Counts]  # entities of each
    columns: dict[str, Column]
    outcome: Outcome | None  # null: the source has none
    incidents: Rate | None  # per entity and day; null: not known


_ADAPTER = TypeAdapter(dict[str, Schema], config=ConfigDict(extra="forbid"))


def as_tree(schema: Schema) -> dict[str, Any]:
    """Return plain data, numbers to as many digits as are stored."""
    return {name: _plain(value) for name, value in asdict(schema).items()}


def from_tree(tree: Mapping[str, Any], where: str) -> dict[str, Schema]:
    """Read the sections of a file named `where`: each key there, none else, each of its type."""
    try:
        return _ADAPTER.validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    says = first["msg"].replace("\n", " ").rstrip(".")
    way = "restore it from git, or write it anew by `cll schema accept`"
    raise ConfigError(f"{where}: {key}: {says[0].lower()}{says[1:]}; {way}.")


def as_text(sections: Mapping[str, Schema]) -> str:
    """Write the file of all sources; the same schemas are the same text.

    `yaml.safe_dump` of `as_tree`, save that a name that reads as a number stays a name.
    """
    tree = {name: as_tree(schema) for name, schema in sections.items()}
    return HEADING + yaml.dump(  # a SafeDumper, see _Dumper
        tree, Dumper=_Dumper, default_flow_style=None, width=100, allow_unicode=True
    )


def rounded(value: float) -> float:
    """Round to the digits that are stored."""
    return float(f"{value:.{DIGITS}g}")


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return rounded(value) if isinstance(value, float) else value


class _Dumper(yaml.SafeDumper):
    """Writes what the project's reader of YAML reads: no alias, and 1e5 is a number there."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)
