"""Tables of figures, with notes that explain figures whose name is not enough."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ORDER = (
    "roc_auc", "average_precision", "precision", "recall", "f1", "balanced_accuracy", "accuracy",
    "kappa_temporal", "brier", "log_loss", "calibration_error",
)  # fmt: skip
# Explanations of figures, by their key in metrics.json.
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
    """Return the explanations of the figures in `names`; most figures have none."""
    present = set(names)
    return [note for name, note in _NOTES.items() if name in present]


def _ordered(names: Sequence[str]) -> list[str]:
    """Return metrics in their usual order, then all other names as they came."""
    metrics = [name for name in ORDER if name in names]
    return metrics + [name for name in names if name not in ORDER]


def _table(columns: Mapping[str, Mapping[str, Any]], most: int | None = None) -> Table:
    """Return a table of the columns that are not empty, with at most `most` rows."""
    filled = {name: column for name, column in columns.items() if column}
    names = _ordered(list(dict.fromkeys(key for column in filled.values() for key in column)))
    rows = [(name, tuple(column.get(name) for column in filled.values())) for name in names]
    return Table(tuple(filled), tuple(rows[:most]), max(0, len(rows) - (most or len(rows))))


def compared(metrics: Mapping[str, Any]) -> Table:
    """Return the candidate's metrics next to all others that were computed on the same rows."""
    models = {name: metrics.get(name, {}) for name in ("candidate", "champion", "difference")}
    baselines = {f"baseline.{name}": column for name, column in metrics.get("baseline", {}).items()}
    truth = {name: metrics.get(name, {}) for name in ("bayes", "gap")}
    return _table({**models, **baselines, **truth})


def is_group(value: object) -> bool:
    """Return whether a value is a group of figures, not one figure with its interval."""
    return isinstance(value, Mapping) and "value" not in value


def events(figures: Mapping[str, Any]) -> Table:
    """Return a table of event figures, which are either flat or grouped by model."""
    flat_figures = {name: value for name, value in figures.items() if not is_group(value)}
    groups = {name: value for name, value in figures.items() if is_group(value)}
    return _table({"all" if groups else "candidate": flat_figures, **groups})


def sliced(slices: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a table with one row per slice; the number of positives is the first column."""
    keys = dict.fromkeys(key for figures in slices.values() for key in figures)
    names = sorted(_ordered(list(keys)), key=lambda name: name != "positives")
    columns = {name: {key: figures.get(name) for key, figures in slices.items()} for name in names}
    return _table(columns, _MOST_SLICES)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a tree by their keys joined with dots; a figure counts as one leaf."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if is_group(value):
            leaves |= flat(value, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves
