"""Breach of the schema: one way in which data differ from it, as a message with a way out."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal[
    "missing", "new", "silent", "unit", "part", "stuck", "group", "entities", "rate", "quarantine"
]
ACCEPT = "accept it by `cll schema accept`"


@dataclass(frozen=True)
class Breach:
    """`what` is a column, a group or a rate; `where` is a day, or empty for all days."""

    kind: Kind
    what: str
    where: str
    actual: str
    expected: str
    cause: str  # the likely cause
    way_out: str
    also: int = 0  # number of later days with the same breach

    @property
    def line(self) -> str:
        """Return the whole breach as one line."""
        when = f" on {self.where}" if self.where else ""
        when += f" and on {self.also} later day{'s' * (self.also > 1)}" if self.also else ""
        expected = f", {self.expected}" if self.expected else ""
        return f"{self.what}: {self.actual}{when}{expected}: {self.cause} {self.way_out}."


def merge_days(breaches: Iterable[Breach]) -> list[Breach]:
    """Return one breach per kind and column: the first, with the number of later days."""
    first: dict[tuple[str, str], Breach] = {}
    for breach in breaches:
        identity = (breach.kind, breach.what)
        earlier = first.get(identity)
        first[identity] = (
            breach if earlier is None else replace(earlier, also=earlier.also + 1 + breach.also)
        )
    return list(first.values())


def number(value: float) -> str:
    """Return a number as text with three significant digits.

    >>> number(45.2169), number(0.00033391), number(1_200_000.0)
    ('45.2', '0.000334', '1200000')
    """
    text = f"{value:.3g}"
    return f"{value:.0f}" if "e+" in text else text


def span(ends: tuple[float, float]) -> str:
    """Return the lowest and the highest value of the earlier days as text.

    >>> span((0.44, 0.47))
    '0.44 to 0.47'
    """
    low, high = number(ends[0]), number(ends[1])
    return low if low == high else f"{low} to {high}"
