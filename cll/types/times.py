"""Instants and durations: their text, and their types in a config."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(text: object) -> timedelta:
    """Read `30m`, `1h30m`, `7d`, or a bare `0`; units are s, m, h, d, w.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(text, timedelta):
        return text
    if text == 0 and not isinstance(text, bool):
        return timedelta(0)
    parts = re.findall(r"(\d+)([smhdw])", text) if isinstance(text, str) else []
    if not parts or "".join(n + unit for n, unit in parts) != text:
        if text == "0":
            return timedelta(0)
        msg = f"{text!r} is not a duration; write 30m, 1h30m, 7d or 0."
        raise ValueError(msg)
    try:
        return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in parts))
    except OverflowError:
        msg = f"{text!r} is longer than a duration can be."
        raise ValueError(msg) from None


def format_duration(span: timedelta) -> str:
    """Return a duration in the form that `parse_duration` reads.

    >>> format_duration(timedelta(minutes=90))
    '1h30m'
    """
    left, text = int(span.total_seconds()), ""
    for unit in "dhms":
        count, left = divmod(left, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0"


def parse_instant(text: object) -> datetime:
    """Read an ISO 8601 instant that names its zone; the result is in UTC.

    >>> parse_instant("2026-01-31T00:00:00Z")
    datetime.datetime(2026, 1, 31, 0, 0, tzinfo=datetime.timezone.utc)
    """
    if not isinstance(text, str | datetime):
        msg = f'{text!r} is not an instant; write it quoted: "2026-01-31T00:00:00Z".'
        raise ValueError(msg)  # noqa: TRY004  pydantic turns ValueError into its own
    try:
        instant = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    except ValueError:
        msg = f'{text!r} is not an instant; write it like "2026-01-31T00:00:00Z".'
        raise ValueError(msg) from None
    if instant.tzinfo is None:
        msg = f"{text} names no time zone; append Z for UTC."
        raise ValueError(msg)
    return instant.astimezone(UTC)


def format_instant(instant: datetime) -> str:
    """Return an instant in the text form of configs and artifacts.

    >>> format_instant(datetime(2026, 1, 31, tzinfo=UTC))
    '2026-01-31T00:00:00Z'
    """
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


# The annotations of a component's fields, as a YAML file writes them.
Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]


Instant = Annotated[datetime, BeforeValidator(parse_instant), PlainSerializer(format_instant)]
