"""A review for a person: tables on a terminal, Markdown for a pull request."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cll.pipeline.report import rendering
from cll.review.compare import ABSENT, Change, Moved
from cll.review.review import Review
from cll.system.console import WIDTH

_MOST = 50  # rows of a table of Markdown: a comment may have 65,536 characters
_STYLE = {"worse": "red", "better": "green", "can't be told": "yellow"}
_WORDS = {"noise": "within noise"}


def show(found: Review, console: Console | None = None) -> None:
    """Print what differs; what is the same is not told."""
    # A pipe or file has no width, and a sentence cut in two can't be searched for.
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    told = found.comparison
    say(f"compared with {found.before}")
    if any(one.says != "same" for one in told.metrics):
        console.print(_metrics(told.metrics))
        say(told.pairing)
    for heading, changes in (
        ("figure", [one for one in told.others if not _is_detail(one)]),
        ("parameter", told.params),
        ("data", told.data),
    ):
        if changes:
            console.print(_table(heading, changes))
    for line in told.schema:
        say(f"schema   {line}")
    for stage, why in found.due.items():
        say(f"stage    {stage} would run: {why}")
    for line in found.notes:
        say(f"note     {line}")
    say(f"verdict  {_verdict(found)}")
    for one in told.rules:
        say(f"         {one.name}: {_text(one.before)} -> {_text(one.after)}")
    say(f"watched  {', '.join(found.watched) or 'nothing'}")
    say(found.verdict)


def _is_detail(figure: Change) -> bool:
    """Tell what would bury the rest on a terminal; Markdown and JSON have it."""
    return figure.name.startswith("slices.") or figure.name.endswith((".low", ".high"))


def markdown(found: Review) -> str:
    """Write a comment for a pull request; its first line, which is not shown, is always the same."""
    told = found.comparison
    facts = {
        "review": found,
        "mark": "❌" if found.regressed else "⚠️" if found.untold else "✅",
        "metrics": [_cells(one) for one in told.metrics],
        "verdict": _verdict(found),
        "rules": [_row(one) for one in told.rules],
        "tables": {
            heading: ([_row(one) for one in changes[:_MOST]], max(0, len(changes) - _MOST))
            for heading, changes in (("Parameters", told.params), ("Data", told.data))
            if changes
        },
        "others": ([_row(one) for one in told.others[:_MOST]], max(0, len(told.others) - _MOST)),
    }
    return rendering.render("diff.md", facts)


def _metrics(metrics: Iterable[Moved]) -> Table:
    heads = ("metric", "before", "now", "difference", "95 %", "")
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for one in metrics:
        *cells, says = _cells(one)
        style = _STYLE.get(one.says)
        table.add_row(
            cells[0].replace("_", " "), *cells[1:], f"[{style}]{says}[/]" if style else says
        )
    return table


def _cells(one: Moved) -> list[str]:
    apart = one.difference
    ends = f"{_signed(apart.low)} .. {_signed(apart.high)}" if apart else ""
    return [
        one.name,
        rendering.figure(one.before.get("value")),
        rendering.figure(one.after.get("value")),
        _signed(apart.value) if apart else "",
        ends,
        _WORDS.get(one.says, one.says) + (", paired" if apart and apart.paired else ""),
    ]


def _table(heading: str, changes: Sequence[Change]) -> Table:
    table = Table(heading, "before", "now", box=None, pad_edge=False, header_style="bold")
    for one in changes:
        table.add_row(*(escape(cell) for cell in _row(one)))
    return table


def _row(one: Change) -> list[str]:
    return [one.name, _text(one.before), _text(one.after)]


def _text(value: Any) -> str:
    if value is ABSENT:
        return rendering.NOTHING
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _verdict(found: Review) -> str:
    ends = [
        f"{one['answer']} {one.get('model_id', '')}".strip() if "answer" in one else "none"
        for one in found.comparison.verdict
    ]
    return ends[0] if ends[0] == ends[1] else " -> ".join(ends)


def _signed(value: float) -> str:
    """Write a difference with its sign.

    >>> _signed(0.01234), _signed(-0.5), _signed(0.0)
    ('+0.012', '-0.500', '0.000')
    """
    sign = "+" if value > 0 else "-" if value < 0 else ""
    return sign + rendering.figure(abs(float(value)))
