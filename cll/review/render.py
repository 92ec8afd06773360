"""Render a review: as tables on a terminal, or as Markdown for a pull request."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cll.pipeline.report import rendering
from cll.review.compare import ABSENT, Comparison, MetricChange, ValueChange
from cll.review.review import Review
from cll.system.console import WIDTH

_MAX_ROWS = 50  # rows of a Markdown table, since a comment on GitHub may have 65,536 characters
_STYLE = {"worse": "red", "better": "green", "can't be told": "yellow"}
_WORDS = {"noise": "within noise", "can't be told": "undecided"}


def show(review: Review, console: Console | None = None) -> None:
    """Print the values that differ; equal ones are left out."""
    # A pipe or file has no width, and a text search would miss a sentence that is wrapped.
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)

    def print_line(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    comparison = review.comparison
    print_line(f"compared with {review.before}")
    if any(metric.outcome != "same" for metric in comparison.metrics):
        console.print(_metrics(comparison.metrics))
        print_line(comparison.pairing)
    for heading, changes in _groups(comparison).items():
        if changes:
            console.print(_table(heading, changes))
    for line in _lines(review):
        print_line(line)


def _groups(comparison: Comparison) -> dict[str, Sequence[ValueChange]]:
    return {
        "figure": [change for change in comparison.others if not _is_detail(change)],
        "parameter": comparison.params,
        "data": comparison.data,
    }


def _lines(review: Review) -> list[str]:
    """Return the lines below the tables."""
    rules = review.comparison.rules
    return [
        *(f"schema   {line}" for line in review.comparison.schema),
        *(f"stage    {stage} would run: {reason}" for stage, reason in review.due.items()),
        *(f"note     {line}" for line in review.notes),
        f"verdict  {_verdict(review)}",
        *(f"         {r.name}: {_text(r.before)} -> {_text(r.after)}" for r in rules),
        f"watched  {', '.join(review.watched) or 'nothing'}",
        review.verdict,
    ]


def _is_detail(figure: ValueChange) -> bool:
    """Return whether the terminal leaves a figure out; Markdown and JSON show it."""
    return figure.name.startswith("slices.") or figure.name.endswith((".low", ".high"))


def markdown(review: Review) -> str:
    """Return a comment for a pull request.

    Its first line is an invisible marker, by which the next run finds and replaces the comment.
    """
    comparison = review.comparison
    facts = {
        "review": review,
        "mark": "❌" if review.regressed else "⚠️" if review.undecided else "✅",
        "metrics": [_cells(metric) for metric in comparison.metrics],
        "verdict": _verdict(review),
        "rules": [_row(rule) for rule in comparison.rules],
        "tables": {
            heading: _first_rows(changes)
            for heading, changes in (("Parameters", comparison.params), ("Data", comparison.data))
            if changes
        },
        "others": _first_rows(comparison.others),
    }
    return rendering.render("diff.md", facts)


def _first_rows(changes: Sequence[ValueChange]) -> tuple[list[list[str]], int]:
    """Return the first rows of a table, and the number of rows that are left out."""
    return [_row(change) for change in changes[:_MAX_ROWS]], max(0, len(changes) - _MAX_ROWS)


def _metrics(metrics: Iterable[MetricChange]) -> Table:
    heads = ("metric", "before", "now", "difference", "95 %", "")
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for metric in metrics:
        *cells, outcome = _cells(metric)
        style = _STYLE.get(metric.outcome)
        table.add_row(
            cells[0].replace("_", " "), *cells[1:], f"[{style}]{outcome}[/]" if style else outcome
        )
    return table


def _cells(metric: MetricChange) -> list[str]:
    change = metric.difference
    ends = f"{_signed(change.low)} .. {_signed(change.high)}" if change else ""
    outcome = _WORDS.get(metric.outcome, metric.outcome)
    return [
        metric.name,
        rendering.figure(metric.before.get("value")),
        rendering.figure(metric.after.get("value")),
        _signed(change.value) if change else "",
        ends,
        outcome + (", paired" if change and change.paired else ""),
    ]


def _table(heading: str, changes: Sequence[ValueChange]) -> Table:
    table = Table(heading, "before", "now", box=None, pad_edge=False, header_style="bold")
    for change in changes:
        table.add_row(*(escape(cell) for cell in _row(change)))
    return table


def _row(change: ValueChange) -> list[str]:
    return [change.name, _text(change.before), _text(change.after)]


def _text(value: Any) -> str:
    if value is ABSENT:
        return rendering.NOTHING
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _verdict(review: Review) -> str:
    before, after = (
        f"{verdict['answer']} {verdict.get('model_id', '')}".strip()
        if "answer" in verdict
        else "none"
        for verdict in review.comparison.verdict
    )
    return before if before == after else f"{before} -> {after}"


def _signed(value: float) -> str:
    """Format a difference with its sign.

    >>> _signed(0.01234), _signed(-0.5), _signed(0.0)
    ('+0.012', '-0.500', '0.000')
    """
    sign = "+" if value > 0 else "-" if value < 0 else ""
    return sign + rendering.figure(abs(float(value)))
