"""Render the package's templates; text from users is escaped, so that it can't act as markup."""

import functools
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from jinja2.filters import do_mark_safe

CELL_WIDTH = 200  # longer texts from users are cut
NOTHING = "\u2013"
_LARGE, _TENS, _SMALL, _ZERO = 1000, 10, 0.01, 1e-9  # where the decimals of a figure change
# Unicode categories of control characters, and of those that reorder text or break a line.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_MARKUP = re.compile(r"[`*\[\]<>&|~#@$\\!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_PLAIN = re.compile(r"[^`|<>&$\\]+")
_NAMES = {
    "roc_auc": "ROC AUC",
    "f1": "F1",
    "brier": "Brier score",
    "kappa_temporal": "Temporal kappa",
    "bayes": "Bayes-optimal",
    "difference": "Gain over champion",
    "gap": "Gap to Bayes",
    "in": "Records in",
}


def render(template: str, facts: Mapping[str, Any]) -> str:
    """Return a template of this package filled with facts; .html gives HTML, else Markdown."""
    return _template(template).render(facts)


@functools.cache
def _template(name: str) -> Template:
    text = files("cll.pipeline.report").joinpath(name).read_text(encoding="utf-8")
    return _environment(html=name.endswith(".html")).from_string(text)


def clean(text: str) -> str:
    r"""Return a text with invisible characters shown as escapes, cut to `CELL_WIDTH`.

    >>> clean("a\u202eb")
    'a\\u202eb'
    """
    shown = "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _HIDDEN else c
        for c in text[: CELL_WIDTH + 1]
    )
    return shown if len(text) <= CELL_WIDTH else shown[:CELL_WIDTH] + "…"


def figure(value: object, like: object = None) -> str:
    """Format a number for a table: three decimals, or three significant digits if it is small.

    `like` sets the number of decimals, so that an interval matches its value.

    >>> [figure(x) for x in (0.91234, 0.0012345, 12345, 1234.5, 38.0, "2026")]
    ['0.912', '0.00123', '12,345', '1,234', '38', '2026']
    """
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return NOTHING
    return f"{value:,.{_decimals(like if isinstance(like, int | float) else value)}f}"


def _decimals(value: float) -> int:
    size = abs(value)
    if isinstance(value, int) or size >= _LARGE or (size >= _TENS and value == int(value)):
        return 0
    if size >= _SMALL or size < _ZERO:
        return 1 if size >= _TENS else 3
    return 2 - math.floor(math.log10(size))


def interval(cell: object) -> str:
    """Format the 95 % interval of a figure; return "" for a figure without an interval.

    >>> print(interval({"value": 0.009, "low": 0.0085, "high": 0.0104}))
    [0.00850, 0.01040]
    """
    if not isinstance(cell, Mapping) or cell.get("low") is None or cell.get("high") is None:
        return ""
    low, high = (figure(cell[end], cell.get("value")) for end in ("low", "high"))
    return do_mark_safe(f"[{prose(low)}, {prose(high)}]")


def value(cell: object) -> str:
    """Format a figure's value without its interval."""
    return figure(cell.get("value") if isinstance(cell, Mapping) else cell)


def figured(cell: object) -> str:
    """Format a figure's value and interval as one line of Markdown."""
    span = interval(cell)
    return do_mark_safe(f"{prose(value(cell))}{' ' if span else ''}{span}")


def label(key: str) -> str:
    """Return a key of metrics.json as a heading.

    >>> label("average_precision"), label("floor.roc_auc"), label("beats.no_change")
    ('Average precision', 'Floor: ROC AUC', 'Beats: no change')
    """
    words = [_NAMES.get(part, part.replace("_", " ")) for part in key.split(".")]
    return ": ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def prose(text: object) -> str:
    """Escape a text for Markdown, so that it contains no markup, mention or link."""
    if hasattr(text, "__html__"):
        return do_mark_safe(str(text))
    # GitHub would still find a mention or an issue; an invisible word joiner prevents it.
    joiner = {"@": "&#8288;", "#": "&#8288;"}
    escaped = _MARKUP.sub(lambda m: f"&#{ord(m[0])};{joiner.get(m[0], '')}", clean(str(text)))
    return do_mark_safe(escaped)


def code(text: object) -> str:
    """Return a name as Markdown code; characters that backticks can't hold become HTML entities."""
    name = clean(str(text)).strip()
    if _PLAIN.fullmatch(name):
        return do_mark_safe(f"`{name}`")
    escaped = "".join(c if c.isalnum() or c in " -.," else f"&#{ord(c)};" for c in name)
    return do_mark_safe(f"<code>{escaped}</code>" if escaped else NOTHING)


def rules(columns: int) -> str:
    """Return the line below a Markdown table's header, which aligns figures to the right."""
    return do_mark_safe("|:--|" + "--:|" * columns)


def row(cells: Iterable[object]) -> str:
    """Return one row of a Markdown table."""
    return do_mark_safe("| " + " | ".join(prose(cell) for cell in cells) + " |")


@functools.cache
def _environment(*, html: bool) -> Environment:
    env = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_for_html if html else _for_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for filter_ in (figure, interval, value, figured, label, code, row, rules):
        env.filters[filter_.__name__] = filter_
    return env


def _for_html(text: object) -> object:
    return clean(text) if isinstance(text, str) and not hasattr(text, "__html__") else text


def _for_markdown(text: object) -> object:
    return prose(text) if isinstance(text, str) else text
