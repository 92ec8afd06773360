"""One thing about the data that is not as known, said so that a person can act on it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal[
    "missing", "new", "silent", "unit", "part", "stuck", "group", "entities", "rate", "quarantine"
]
ACCEPT = "accept it by `cll schema accept`"


@dataclass(frozen=True)
class Breach:
    """`what` is a column, a group or a rate; `where` a day, or empty for all of them."""

    kind: Kind
    what: str
    where: str
    found: str
    expected: str
    says: str  # what it looks like
    way_out: str
    also: int = 0  # later days that are so, too

    @property
    def line(self) -> str:
        """Say all of it in one line."""
        when = f" on {self.where}" if self.where else ""
        when += f" and on {self.also} later day{'s' * (self.also > 1)}" if self.also else ""
        expected = f", {self.expected}" if self.expected else ""
        return f"{self.what}: {self.found}{when}{expected}: {self.says} {self.way_out}."


def gathered(breaches: Iterable[Breach]) -> list[Breach]:
    """Say once, of the first day, what is so on several; in the order of days."""
    first: dict[tuple[str, str], Breach] = {}
    for one in breaches:
        identity = (one.kind, one.what)
        seen = first.get(identity)
        first[identity] = one if seen is None else replace(seen, also=seen.also + 1 + one.also)
    return list(first.values())


def number(value: float) -> str:
    """Write a figure as a person compares it.

    >>> number(45.2169), number(0.00033391), number(1_200_000.0)
    ('45.2', '0.000334', '1200000')
    """
    text = f"{value:.3g}"
    return f"{value:.0f}" if "e+" in text else text


def span(ends: tuple[float, float]) -> str:
    """Write the lowest and the highest of the days known.

    >>> span((0.44, 0.47))
    '0.44 to 0.47'
    """
    low, high = number(ends[0]), number(ends[1])
    return low if low == high else f"{low} to {high}"
