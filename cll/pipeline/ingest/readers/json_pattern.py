"""Build a regular expression that parses flat JSON objects of one shape, strictly by the grammar.

At each point of the pattern the next character decides, so the regex engine needs one pass without
backtracking.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from cll.pipeline.ingest.readers.records import twice

LONGEST = 2**17  # characters of a pattern, about a thousand keys; the regex engine takes no more
_TEXT = r'[^"\\\x00-\x1f]*'
_BARE = r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|Infinity)|true|false|NaN"
# The captured part of a value, by the kind of the first line's value: string, bare token, or either.
_KINDS = {
    "text": rf'"({_TEXT})"|null',
    "bare": rf"({_BARE})|null",
    "any": rf'("{_TEXT}"|{_BARE}|null)',
    "": rf'"{_TEXT}"|{_BARE}|null',
}


class TwiceError(ValueError):
    """A JSON object has a key twice."""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return pairs as a dict; raise TwiceError for a repeated key."""
    record = dict(pairs)
    if len(record) != len(pairs):
        keys = [key for key, _ in pairs]
        raise TwiceError(twice(max(keys, key=keys.count)))
    return record


class _Bare(str):
    """The text of a number, to distinguish it from a string."""

    __slots__ = ()


_decode_typed = json.JSONDecoder(
    object_pairs_hook=unique, parse_int=_Bare, parse_float=_Bare, parse_constant=_Bare
).decode


def flat(line: str) -> dict[str, Any]:
    """Return the object of a line if all its values are plain, else an empty one."""
    try:
        record = _decode_typed(line)
    except (ValueError, RecursionError):
        return {}
    flat = isinstance(record, dict) and not any(
        isinstance(value, list | dict) for value in record.values()
    )
    # A key with escapes can be written in several ways, which the pattern would miss.
    plain = flat and all(json.dumps(key) == f'"{key}"' for key in record)
    return record if plain else {}


def kind_of(value: Any, again: int) -> str:
    """Return the kind of a value: "text", "bare" or "any"; a second pattern accepts any."""
    if again or value is None:
        return "any"
    return "bare" if isinstance(value, _Bare | bool) else "text"


def pattern_of(kinds: Mapping[str, str], wanted: Sequence[str]) -> str:
    """Return the pattern of an object with these keys; it captures the wanted values."""
    pairs = (
        rf'"{re.escape(key)}"[ \t]*:[ \t]*(?:{_KINDS[kind if key in wanted else ""]})'
        for key, kind in kinds.items()
    )
    # The bracket is captured too: it distinguishes a line of nulls from one that doesn't match.
    return r"^[ \t\r]*(\{)[ \t]*" + r"[ \t]*,[ \t]*".join(pairs) + r"[ \t]*\}[ \t\r]*$"


def named(captured: pl.DataFrame, kinds: Mapping[str, str], wanted: Sequence[str]) -> pl.DataFrame:
    """Return the captured values by key.

    For kind "any", quotes are removed and `null` becomes null.
    """
    captured.columns = ["{", *(key for key in kinds if key in wanted)]
    texts = [
        pl.lit(None, dtype=pl.String).alias(key)
        if key not in kinds
        else pl.when(pl.col(key) != "null").then(pl.col(key).str.strip_chars('"'))
        if kinds[key] == "any"
        else pl.col(key)
        for key in wanted
    ]
    return captured.select(texts)
