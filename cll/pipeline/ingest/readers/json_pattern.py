"""The shape of a flat JSON object as a pattern that takes such lines apart, and says all of JSON.

At each point of a pattern the next character decides, so the regex engine needs one pass and no
going back.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from cll.pipeline.ingest.readers.records import twice

LONGEST = 2**17  # characters of a pattern: about a thousand keys, and the engine takes no more
_TEXT = r'[^"\\\x00-\x1f]*'
_BARE = r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|Infinity)|true|false|NaN"
# What is kept of a value, by what the first line has there: the text, the token, or either.
_KINDS = {
    "text": rf'"({_TEXT})"|null',
    "bare": rf"({_BARE})|null",
    "any": rf'("{_TEXT}"|{_BARE}|null)',
    "": rf'"{_TEXT}"|{_BARE}|null',
}


class TwiceError(ValueError):
    pass


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        keys = [key for key, _ in pairs]
        raise TwiceError(twice(max(keys, key=keys.count)))
    return record


class _Bare(str):
    """The text of a number, told apart from that of a string."""

    __slots__ = ()


_decode_typed = json.JSONDecoder(
    object_pairs_hook=unique, parse_int=_Bare, parse_float=_Bare, parse_constant=_Bare
).decode


def flat(line: str) -> dict[str, Any]:
    """Return an object of plain values; nothing of any other line."""
    try:
        record = _decode_typed(line)
    except (ValueError, RecursionError):
        return {}
    flat = isinstance(record, dict) and not any(
        isinstance(value, list | dict) for value in record.values()
    )
    # A key that JSON could write in two ways would have to be unescaped.
    plain = flat and all(json.dumps(key) == f'"{key}"' for key in record)
    return record if plain else {}


def kind_of(value: Any, again: int) -> str:
    if again or value is None:
        return "any"
    return "bare" if isinstance(value, _Bare | bool) else "text"


def pattern_of(kinds: Mapping[str, str], wanted: Sequence[str]) -> str:
    pairs = (
        rf'"{re.escape(key)}"[ \t]*:[ \t]*(?:{_KINDS[kind if key in wanted else ""]})'
        for key, kind in kinds.items()
    )
    # The bracket is kept too: it tells a line of nulls from one that doesn't fit.
    return r"^[ \t\r]*(\{)[ \t]*" + r"[ \t]*,[ \t]*".join(pairs) + r"[ \t]*\}[ \t\r]*$"


def named(found: pl.DataFrame, kinds: Mapping[str, str], wanted: Sequence[str]) -> pl.DataFrame:
    """Name what was found; where either was kept, `"a"` is a, and null is null."""
    found.columns = ["{", *(key for key in kinds if key in wanted)]
    texts = [
        pl.lit(None, dtype=pl.String).alias(key)
        if key not in kinds
        else pl.when(pl.col(key) != "null").then(pl.col(key).str.strip_chars('"'))
        if kinds[key] == "any"
        else pl.col(key)
        for key in wanted
    ]
    return found.select(texts)
