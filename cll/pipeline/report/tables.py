"""Figures laid side by side, each with what a reader must know of it to read it right."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ORDER = (
    "roc_auc", "average_precision", "precision", "recall", "f1", "balanced_accuracy", "accuracy",
    "kappa_temporal", "brier", "log_loss", "calibration_error",
)  # fmt: skip
# What a figure's name does not tell, by the key that it stands under.
_NOTES = {
    "kappa_temporal": "Temporal kappa is accuracy beyond no-change: 0 is no better, 1 is never wrong.",
    "calibration_error": "The calibration error's bootstrap interval lies high, "
    "since its estimate is biased upwards.",
    "alarms_per_day": "Alerts close together are one alarm.",
    "lead_minutes_median": "A lead time is at most the horizon: "
    "an earlier alert counts for no incident.",
    "embargoed": "Embargoed rows have a label, but lie on neither side of the split.",
    "excluded.immature": "Immature rows have a label that is not known yet.",
    "excluded.running": "Running rows lie inside an incident, which is not forecast.",
    "excluded.uncovered": "Uncovered rows lie outside the observed span.",
}
_MOST_SLICES = 40


@dataclass(frozen=True)
class Table:
    """Figures by row and column; a cell is a scalar, `{value, low, high}` or None."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Any, ...]], ...]
    left_out: int = 0


def notes(names: Iterable[str]) -> list[str]:
    """Say a line about each of the figures `names` that has something to be said of it."""
    present = set(names)
    return [says for name, says in _NOTES.items() if name in present]


def _ordered(names: Sequence[str]) -> list[str]:
    known = [name for name in ORDER if name in names]
    return known + [name for name in names if name not in ORDER]


def _table(columns: Mapping[str, Mapping[str, Any]], most: int | None = None) -> Table:
    """Lay columns side by side; the empty ones are left out."""
    filled = {name: column for name, column in columns.items() if column}
    names = _ordered(list(dict.fromkeys(key for column in filled.values() for key in column)))
    rows = [(name, tuple(column.get(name) for column in filled.values())) for name in names]
    return Table(tuple(filled), tuple(rows[:most]), max(0, len(rows) - (most or len(rows))))


def compared(metrics: Mapping[str, Any]) -> Table:
    """Lay the candidate beside whatever else was judged on the same rows."""
    sides = {name: metrics.get(name, {}) for name in ("candidate", "champion", "difference")}
    baselines = {f"baseline.{name}": column for name, column in metrics.get("baseline", {}).items()}
    truth = {name: metrics.get(name, {}) for name in ("bayes", "gap")}
    return _table({**sides, **baselines, **truth})


def is_group(value: object) -> bool:
    """Tell a tree of figures from one figure, which may come with an interval."""
    return isinstance(value, Mapping) and "value" not in value


def events(figures: Mapping[str, Any]) -> Table:
    """Take figures alone, or a group of them for each model."""
    alone = {name: value for name, value in figures.items() if not is_group(value)}
    groups = {name: value for name, value in figures.items() if is_group(value)}
    return _table({"all" if groups else "candidate": alone, **groups})


def sliced(slices: Mapping[str, Mapping[str, Any]]) -> Table:
    """Lay a slice on each line, first by how many positives its figures rest on."""
    found = dict.fromkeys(key for one in slices.values() for key in one)
    names = sorted(_ordered(list(found)), key=lambda name: name != "positives")
    columns = {name: {key: one.get(name) for key, one in slices.items()} for name in names}
    return _table(columns, _MOST_SLICES)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name the leaves by their dotted path."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if is_group(value):
            leaves |= flat(value, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves
