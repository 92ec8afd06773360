"""Read JSON documents: an object, or an array of objects, one element at a time.

A whole decoded array would take up to thirty times its bytes in memory, and an array has no lines
at which it could be cut.
"""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cll.pipeline.ingest.readers.json_records import DECODER, RecordCollector, reason_of
from cll.pipeline.ingest.readers.limits import depth, refuse_over
from cll.pipeline.ingest.readers.records import NOT_UTF8, TRUNCATED, Records, Wanted
from cll.pipeline.ingest.readers.streams import BLOCK, ROWS, STEP, Pull, filled
from cll.types.errors import DataRefused

WHOLE = 2 * STEP  # bytes that are decoded at once
_BLANK = re.compile(r"[ \t\r\n]*")
_NEAR = 16  # characters; an error so close to the end of the text may be a cut word or number


def parse(text: bytes, wanted: Wanted) -> Records:
    """Return the records of a file of one object, or of an array of objects."""
    most = wanted.limits.nesting
    if text.count(b"[") + text.count(b"{") > most:
        refuse_over("nesting", depth(text), most)
    try:
        document = DECODER.decode(text.decode())
    except (ValueError, RecursionError) as why:
        if _ends_early(why):
            raise DataRefused(f"{TRUNCATED}.") from None
        hint = "; name a file with a record a line .jsonl" if "Extra data" in str(why) else ""
        raise DataRefused(f"{reason_of(why)}{hint}.") from None
    records = document if isinstance(document, list) else [document]
    refuse_over("rows", len(records), wanted.limits.rows)
    collector = RecordCollector(wanted)
    for number, record in enumerate(records, 1):
        collector.take(number, record, 0)
    return collector.records()


def _ends_early(why: Exception) -> bool:
    return isinstance(why, json.JSONDecodeError) and (
        why.pos >= len(why.doc.rstrip()) or why.msg.startswith("Unterminated string")
    )


def stream(head: bytes, pull: Pull, wanted: Wanted) -> Iterator[Records]:
    """Yield the records of an array of any size; `head` is its beginning."""
    elements = _Elements(head, pull, wanted)
    collector, size = RecordCollector(wanted), 0
    first = number = 1
    for element, text in elements:
        refuse_over("rows", number, wanted.limits.rows)
        collector.take(number, element, text)
        size += text
        if size >= BLOCK or number - first >= ROWS:
            yield collector.records()
            # Only the first block is checked for the needed keys.
            collector, size, first = RecordCollector(replace(wanted, needed=())), 0, number + 1
        number += 1
    yield collector.records()


class _Elements:
    """Iterator over an array that holds little more than one element in memory."""

    def __init__(self, head: bytes, pull: Pull, wanted: Wanted) -> None:
        self._pull, self._limits = pull, wanted.limits
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text, self._at, self._before, self._ended = "", 0, 0, False
        self._add(head)

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        """Yield each element with its length in characters.

        A document that is no array is one element.
        """
        if self._next() != "[":
            yield self._element()
            self._at -= 1
            self._end()
            return
        self._at += 1
        if self._next() == "]":
            self._end()
            return
        while True:
            self._next()
            yield self._element()
            mark = self._next()
            if mark not in {",", "]"}:
                raise DataRefused(f"not JSON: Expecting ',' delimiter: {self._place()}.")
            if mark == "]":
                self._end()
                return
            self._at += 1

    def _element(self) -> tuple[Any, int]:
        while True:
            try:
                element, end = DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as why:
                if not self._goes_on(why):
                    raise self._refusal(why) from None
            else:
                # A number at the end of the text may continue in the next bytes.
                if end < len(self._text) or self._ended:
                    return element, self._passed(end)
            refuse_over("line_length", len(self._text) - self._at, self._limits.line_length)
            self._more()

    def _passed(self, end: int) -> int:
        size, opens = end - self._at, sum(self._text.count(b, self._at, end) for b in "[{")
        refuse_over("line_length", size, self._limits.line_length)
        if opens >= self._limits.nesting:
            element = self._text[self._at : end].encode(errors="replace")
            refuse_over("nesting", depth(element) + 1, self._limits.nesting)
        self._at = end
        return size

    def _goes_on(self, why: Exception) -> bool:
        """Return whether the error may come from an element that was read only in part."""
        if self._ended or not isinstance(why, json.JSONDecodeError):
            return False
        return why.pos >= len(self._text) - _NEAR or why.msg.startswith("Unterminated string")

    def _refusal(self, why: Exception) -> DataRefused:
        if self._ended and _ends_early(why):
            return DataRefused(f"{TRUNCATED}.")
        if isinstance(why, json.JSONDecodeError):
            self._at = why.pos
            return DataRefused(f"not JSON: {why.msg}: {self._place()}.")
        return DataRefused(f"{reason_of(why)}.")

    def _place(self) -> str:
        return f"char {self._before + self._at}"

    def _next(self) -> str:
        """Skip blanks; return the next character."""
        while True:
            self._at = _blank_end(self._text, self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                raise DataRefused(f"{TRUNCATED}.")
            self._more()

    def _end(self) -> None:
        self._at = _blank_end(self._text, self._at + 1)
        while self._at == len(self._text) and not self._ended:
            self._more()
            self._at = _blank_end(self._text, self._at)
        if self._at < len(self._text):
            hint = "name a file with a record a line .jsonl"
            raise DataRefused(f"not JSON: Extra data: {self._place()}; {hint}.")

    def _more(self) -> None:
        self._add(filled(self._pull, max(STEP, len(self._text) - self._at)))

    def _add(self, data: bytes) -> None:
        self._ended = not data
        try:
            more = self._decode(data, self._ended)
        except UnicodeDecodeError:
            raise DataRefused(f"{NOT_UTF8}.") from None
        self._before += self._at
        self._text, self._at = self._text[self._at :] + more, 0


def _blank_end(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at
