"""Review of a change: compare the working tree with a git revision, and derive the exit code."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cll.pipeline.report import terminal
from cll.review import compare, snapshots
from cll.review.compare import (
    ABSENT,
    UNDECIDED,
    Comparison,
    MetricChange,
    ProjectState,
    ValueChange,
)
from cll.system import progress
from cll.types.errors import CllError, ConfigError, Unavailable
from cll.vcs import revision, staleness

_EXIT_REGRESSED = terminal.EXIT_CODES["reject"]
_EXIT_UNDECIDED = terminal.EXIT_CODES["not enough evidence"]
_FORM = {"form": "diff", "version": 1}


@dataclass(frozen=True)
class Review:
    """A comparison with a named earlier state, and what limits its validity."""

    before: str  # the earlier state's name, for a person
    commit: str  # the earlier state's commit; empty where the state is not a commit
    comparison: Comparison
    due: Mapping[str, str]  # stages that `dvc repro` would run, and why
    notes: tuple[str, ...]  # what is missing for a comparison

    @property
    def regressed(self) -> tuple[MetricChange, ...]:
        """The watched metrics that got worse by more than noise."""
        metrics = self.comparison.metrics
        return tuple(m for m in metrics if m.is_watched and m.outcome == "worse")

    @property
    def watched(self) -> tuple[str, ...]:
        """The names of the metrics that the gate reads, sorted."""
        return tuple(sorted(m.name for m in self.comparison.metrics if m.is_watched))

    @property
    def verdict(self) -> str:
        """One sentence on whether a metric got worse."""
        if self.regressed:
            changes = ", ".join(describe(metric) for metric in self.regressed)
            return f"Worse by more than noise: {changes}."
        if reason := self.undecided:
            return f"It is undecided whether a metric got worse: {reason}"
        same = all(metric.outcome == "same" for metric in self.comparison.metrics)
        if not self.comparison.others and same:
            return "Every figure is the same."
        return "No metric that the gate reads got worse by more than noise."

    @property
    def undecided(self) -> str:
        """The reason why it is undecided whether a metric got worse; empty where it is decided."""
        for note in self.notes:
            return note
        if not self.watched:
            return "neither state's gate names a metric."
        for metric in self.comparison.metrics:
            if metric.is_watched and metric.outcome == UNDECIDED:
                both = metric.before and metric.after
                missing = "has no interval" if both else "has no value"
                return f"{metric.name} {missing} in {_states_that_lack(metric)}."
        for stage, reason in self.due.items():
            return (
                "the figures are not those of the working tree:"
                f" {stage}: {reason}; run `dvc repro`."
            )
        return ""


def review_revision(root: Path, asked: str | None) -> Review:
    """Compare the working tree with a revision; without one, with the default base."""
    base = revision.find(root, asked)
    return review_since(root, snapshots.read_revision(base), str(base), base.commit)


def review_since(root: Path, before: ProjectState, name: str, commit: str = "") -> Review:
    """Compare the project's folder with an earlier state of it."""
    after = snapshots.read_folder(root)
    if before.metrics is None and after.metrics is None:
        raise Unavailable(
            f"metrics.json: missing both at {name} and here; run `dvc repro` and commit it."
        )
    notes = []
    if before.metrics is None:
        notes.append(f"metrics.json was never committed at {name}; name another revision.")
    if after.metrics is None:
        notes.append("metrics.json does not exist yet; run `dvc repro` first.")
    due: Mapping[str, str] = {}
    try:
        due = staleness.would_run(root)
    except CllError as error:
        notes.append(str(error))
    return Review(name, commit, compare.compare(before, after), due, tuple(notes))


def exit_code(review: Review, fail_on: Collection[str]) -> int:
    """Return the exit code for `--fail-on`; where it is not 0, print the reason on stderr."""
    if "stale" in fail_on and review.due:
        stage, reason = next(iter(review.due.items()))
        progress.say(f"cll: {stage}: {reason} since it ran; run `dvc repro` and commit.")
        return ConfigError.exit_code
    if "regression" not in fail_on or not (review.regressed or review.undecided):
        return 0
    progress.say(f"cll: {review.verdict}")
    return _EXIT_REGRESSED if review.regressed else _EXIT_UNDECIDED


def describe(metric: MetricChange) -> str:
    """Return a metric's change as one phrase: name, both values, interval of the difference."""
    change = metric.difference
    ends = f" ({change.low:+.4g} to {change.high:+.4g})" if change else ""
    before, after = metric.before.get("value"), metric.after.get("value")
    return f"{metric.name} {before:.4g} -> {after:.4g}{ends}"


def as_json(review: Review) -> str:
    """Return the review as JSON; a value that one state lacks has no key there."""
    comparison = review.comparison
    tree = _FORM | {
        "before": {"name": review.before, "commit": review.commit or None},
        "regressed": True if review.regressed else None if review.undecided else False,
        "says": review.verdict,
        "pairing": comparison.pairing,
        "watched": list(review.watched),
        "metrics": {metric.name: _metric(metric) for metric in comparison.metrics},
        "figures": _changed(comparison.others),
        "params": _changed(comparison.params),
        "data": _changed(comparison.data),
        "schema": list(comparison.schema),
        "verdict": {
            "before": comparison.verdict[0] or None,
            "after": comparison.verdict[1] or None,
            "rules": _changed(comparison.rules),
        },
        "stages": dict(review.due),
        "notes": list(review.notes),
    }
    return json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=False)


def _metric(metric: MetricChange) -> dict[str, Any]:
    change = None
    if metric.difference is not None:
        change = {
            name: round(value, 6) + 0.0 if isinstance(value, float) else value
            for name, value in asdict(metric.difference).items()
        }
    return {
        "before": dict(metric.before) or None,
        "after": dict(metric.after) or None,
        "difference": change,
        "says": metric.outcome,
    }


def _changed(changes: Sequence[ValueChange]) -> dict[str, dict[str, Any]]:
    return {change.name: dict(_present(change)) for change in changes}


def _present(change: ValueChange) -> Iterator[tuple[str, Any]]:
    for state, value in (("before", change.before), ("after", change.after)):
        if value is not ABSENT:
            yield state, value


def _states_that_lack(metric: MetricChange) -> str:
    """Return which states lack the metric's value or interval."""
    lacking = [
        state
        for state, figure in (("the earlier state", metric.before), ("this state", metric.after))
        if "low" not in figure or "value" not in figure
    ]
    return " and in ".join(lacking) or "one state"
