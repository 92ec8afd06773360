"""What a change does to a project: its working tree beside what git holds at a revision."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cll.pipeline.report import terminal
from cll.review import compare, snapshots
from cll.review.compare import ABSENT, UNTOLD, Change, Comparison, Moved, Side
from cll.system import progress
from cll.types.errors import CllError, ConfigError, Unavailable
from cll.vcs import revision, staleness

_REGRESSED = terminal.EXIT_CODES["reject"]
_UNTOLD = terminal.EXIT_CODES["not enough evidence"]
_FORM = {"form": "diff", "version": 1}


@dataclass(frozen=True)
class Review:
    """A comparison, of what with what, and what must be known to believe it."""

    before: str  # as a person named it
    commit: str  # empty where it is none
    comparison: Comparison
    due: Mapping[str, str]  # stages that would run, and why
    notes: tuple[str, ...]  # what is missing

    @property
    def regressed(self) -> tuple[Moved, ...]:
        """The watched metrics that got worse by more than noise."""
        metrics = self.comparison.metrics
        return tuple(one for one in metrics if one.is_watched and one.says == "worse")

    @property
    def watched(self) -> tuple[str, ...]:
        return tuple(sorted(one.name for one in self.comparison.metrics if one.is_watched))

    @property
    def verdict(self) -> str:
        """Say in one sentence whether something got worse."""
        if self.regressed:
            return f"Worse by more than noise: {', '.join(moved(one) for one in self.regressed)}."
        if untold := self.untold:
            return f"It can't be told whether a metric got worse: {untold}"
        if not self.comparison.others and all(m.says == "same" for m in self.comparison.metrics):
            return "Every figure is the same."
        return "No metric that the gate looks at got worse by more than noise."

    @property
    def untold(self) -> str:
        """Say why it can't be told whether something got worse; empty where it can."""
        for reason in self.notes:
            return reason
        if not self.watched:
            return "the gate of neither side names a metric."
        for one in self.comparison.metrics:
            if one.is_watched and one.says == UNTOLD:
                lacks = "has no figure" if not (one.before and one.after) else "has no interval"
                return f"{one.name} {lacks} on {_side_that_lacks(one)}."
        for stage, why in self.due.items():
            return (
                f"the figures are not those of the working tree: {stage}: {why}; run `dvc repro`."
            )
        return ""


def of_revision(root: Path, asked: str | None) -> Review:
    """Compare the working tree with what git holds at a revision, or at the base that is usual."""
    base = revision.find(root, asked)
    return between(root, snapshots.at(base), str(base), base.commit)


def between(root: Path, before: Side, name: str, commit: str = "") -> Review:
    """Compare what the project's folder holds with another side."""
    after = snapshots.of_folder(root)
    if before.metrics is None and after.metrics is None:
        raise Unavailable(
            f"metrics.json: neither at {name} nor here; run `dvc repro` and commit it."
        )
    notes = []
    if before.metrics is None:
        notes.append(f"metrics.json was never committed at {name}; name another revision.")
    if after.metrics is None:
        notes.append("metrics.json is not there yet; run `dvc repro` first.")
    due: Mapping[str, str] = {}
    try:
        due = staleness.would_run(root)
    except CllError as error:
        notes.append(str(error))
    return Review(name, commit, compare.compare(before, after), due, tuple(notes))


def exit_code(found: Review, fail_on: Collection[str]) -> int:
    """Return what `--fail-on` asks for, and say why on stderr where that is not 0."""
    if "stale" in fail_on and found.due:
        stage, why = next(iter(found.due.items()))
        progress.say(f"cll: {stage}: {why} since it ran; run `dvc repro` and commit.")
        return ConfigError.exit_code
    if "regression" not in fail_on or not (found.regressed or found.untold):
        return 0
    progress.say(f"cll: {found.verdict}")
    return _REGRESSED if found.regressed else _UNTOLD


def moved(one: Moved) -> str:
    """Write a metric's way in one phrase."""
    apart = one.difference
    ends = f" ({apart.low:+.4g} to {apart.high:+.4g})" if apart else ""
    return f"{one.name} {one.before.get('value'):.4g} -> {one.after.get('value'):.4g}{ends}"


def as_json(found: Review) -> str:
    """Write it for programs; a value that one side lacks is left out there."""
    told = found.comparison
    tree = _FORM | {
        "before": {"name": found.before, "commit": found.commit or None},
        "regressed": True if found.regressed else None if found.untold else False,
        "says": found.verdict,
        "pairing": told.pairing,
        "watched": list(found.watched),
        "metrics": {one.name: _metric(one) for one in told.metrics},
        "figures": _changed(told.others),
        "params": _changed(told.params),
        "data": _changed(told.data),
        "schema": list(told.schema),
        "verdict": {
            "before": told.verdict[0] or None,
            "after": told.verdict[1] or None,
            "rules": _changed(told.rules),
        },
        "stages": dict(found.due),
        "notes": list(found.notes),
    }
    return json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=False)


def _metric(one: Moved) -> dict[str, Any]:
    apart = None
    if one.difference is not None:
        apart = {
            name: round(value, 6) + 0.0 if isinstance(value, float) else value
            for name, value in asdict(one.difference).items()
        }
    return {
        "before": dict(one.before) or None,
        "after": dict(one.after) or None,
        "difference": apart,
        "says": one.says,
    }


def _changed(changes: Sequence[Change]) -> dict[str, dict[str, Any]]:
    return {one.name: dict(_ends(one)) for one in changes}


def _ends(one: Change) -> Iterator[tuple[str, Any]]:
    for end, value in (("before", one.before), ("after", one.after)):
        if value is not ABSENT:
            yield end, value


def _side_that_lacks(one: Moved) -> str:
    lacking = [
        name
        for name, figure in (("the other side", one.before), ("this side", one.after))
        if "low" not in figure or "value" not in figure
    ]
    return " and on ".join(lacking) or "one side"
