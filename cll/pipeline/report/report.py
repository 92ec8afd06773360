"""Step: render the report of a run as an offline HTML page and as Markdown for a pull request."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from cll.pipeline.report import rendering, tables, timeline
from cll.types.directions import TREE_KEY
from cll.types.verdicts import Verdict

MARKDOWN_LIMIT = 60_000  # bytes; a comment on GitHub holds 65,536 characters
_TOP_FEATURES, _TOP_REASONS, _EXAMPLES, _STRIPS = 20, 20, 3, 6
_FLOW = ("in", "kept", "quarantined", "duplicate", "pending")
_BLANK_MODEL = dict.fromkeys(("model_id", "model_type", "created", "threshold", "calibration"))
_SAYS = {
    ("promote", False): "The candidate may take over from the champion.",
    ("promote", True): "The candidate may become the first champion.",
    ("reject", False): "The champion stays in force.",
    ("reject", True): "No model comes into force.",
    ("not enough evidence", False): "The champion stays in force until there is more evidence.",
    ("not enough evidence", True): "No model comes into force until there is more evidence.",
}
_CHARTS = ("roc", "pr", "calibration", "scores")


@dataclass(frozen=True)
class Report:
    """The report in two formats."""

    html: str
    markdown: str


def report(
    metrics: Mapping[str, Any],
    verdict: Verdict,
    curves: Mapping[str, pl.DataFrame],
    model: Mapping[str, Any],
    quarantine: pl.DataFrame,
    context: Mapping[str, Any],
) -> Report:
    """Render the verdict, then the figures it depends on, then data and lineage.

    `metrics` and `model` are metrics.json and model.json. `curves` may hold roc (fpr, tpr),
    pr (recall, precision), calibration (mean_probability, observed, rows) and scores (entity, time,
    probability, label, incident), each with a `model` column if it has both models. `quarantine` is
    a frame of REJECTS. `context` holds as_of, choices, the metrics' directions, and maybe a title.
    """
    facts = _facts(metrics, model) | {
        "context": {"title": "", "as_of": "", "choices": {}, **context},
        "lower": [name for name, better in context.get(TREE_KEY, {}).items() if better == "lower"],
        "verdict": _verdict_facts(verdict),
        "quarantine": _reasons(quarantine),
    }
    html = rendering.render("report.html", facts | _charts(metrics, curves, model))
    return Report(html, _markdown(facts))


def _facts(metrics: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    data = metrics.get("data", {})
    flows = _flows(data)
    counts = {name: n for name, n in tables.flat(data).items() if not (flows and name in _FLOW)}
    compared, events = tables.compared(metrics), tables.events(metrics.get("events", {}))
    # model.json may list the features with their types.
    features = [
        entry["name"] if isinstance(entry, Mapping) else entry
        for entry in model.get("features", [])
    ]
    return {
        "headline": _headline(metrics),
        "simulated": bool(data.get("fallback")),
        "metrics": compared,
        "events": events,
        "slices": tables.sliced(metrics.get("slices", {})),
        "flows": flows,
        "data": counts,
        "notes": {
            "metrics": tables.notes(name for name, _ in compared.rows),
            "events": tables.notes(name for name, _ in events.rows),
            "data": tables.notes(counts),
        },
        "model": {**_BLANK_MODEL, **model, "features": features},
        "importance": _importance(model.get("importance") or {}),
        "lineage": _lineage(model.get("lineage") or {}),
    }


def _markdown(facts: Mapping[str, Any]) -> str:
    """Return the Markdown, without details where it would be too long for a comment."""
    whole = rendering.render("report.md", {**facts, "details": True})
    if len(whole.encode()) < MARKDOWN_LIMIT:
        return whole
    return rendering.render("report.md", {**facts, "details": False})


def _verdict_facts(verdict: Verdict) -> dict[str, Any]:
    first = verdict.champion == "none"
    outcomes = [rule.outcome for rule in verdict.rules]
    tally = {name: outcomes.count(name) for name in dict.fromkeys(outcomes)}
    return {**asdict(verdict), "first": first, "says": _SAYS[verdict.answer, first], "tally": tally}


def _flows(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the record counts, in total and by table, and whether they add up."""
    groups = {"": data, **{name: value for name, value in data.items() if tables.is_group(value)}}
    flows = []
    for name, counts in groups.items():
        if "in" in counts:
            parts = {part: counts.get(part, 0) for part in _FLOW[1:]}
            whole = counts["in"]
            flows.append(
                {"table": name, "in": whole, "parts": parts, "holds": whole == sum(parts.values())}
            )
    return flows


def _headline(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the candidate's most important figures, with the champion's values."""
    candidate, champion = metrics.get("candidate", {}), metrics.get("champion", {})
    names = [name for name in tables.ORDER[:4] if name in candidate]
    return [
        {"name": name, "cell": candidate[name], "champion": champion.get(name)} for name in names
    ]


def _importance(shares: Mapping[str, float]) -> dict[str, Any]:
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    top = ranked[:_TOP_FEATURES]
    widest = max((share for _, share in top), default=0.0) or 1.0
    rows = [(name, share, round(100 * max(share, 0.0) / widest, 1)) for name, share in top]
    return {"rows": rows, "of": len(ranked)}


def _reasons(quarantine: pl.DataFrame) -> dict[str, Any]:
    """Count the quarantined records by reason, most frequent first, with examples of each."""
    counted = quarantine.group_by("table", "field", "reason").agg(
        pl.len().alias("records"),
        pl.struct("file", "row", "value").sort_by("file", "row").head(_EXAMPLES).alias("examples"),
    )
    ranked = counted.sort(
        "records", "reason", "field", "table", descending=[True, False, False, False]
    )
    top = ranked.head(_TOP_REASONS).to_dicts()
    return {"rows": top, "of": ranked.height, "records": quarantine.height}


def _lineage(lineage: Mapping[str, Any]) -> dict[str, Any]:
    """Separate single values, shown in one line each, from trees, which are folded."""
    trees = {name: value for name, value in lineage.items() if isinstance(value, Mapping | list)}
    return {
        "lines": {name: value for name, value in lineage.items() if name not in trees},
        "trees": {
            name: json.dumps(value, indent=2, sort_keys=True, default=str).split("\n")
            for name, value in trees.items()
            if value
        },
    }


def _charts(
    metrics: Mapping[str, Any], curves: Mapping[str, pl.DataFrame], model: Mapping[str, Any]
) -> dict[str, Any]:
    from cll.pipeline.report import charts  # noqa: PLC0415  Altair takes 0.4 s to import

    has = {name: frame for name, frame in curves.items() if frame.height}
    share, drawn, strips = _share(metrics), {}, {}
    if "roc" in has:
        drawn["roc"] = charts.roc(has["roc"])
    if "pr" in has:
        drawn["pr"] = charts.precision_recall(has["pr"], share, _point(metrics))
    if "calibration" in has:
        drawn["calibration"] = charts.calibration(has["calibration"])
    if "scores" in has and timeline.has_course(rows := timeline.scored(has["scores"])):
        entities = timeline.busiest(rows, _STRIPS)
        drawn["scores"] = charts.scores(rows, entities, model.get("threshold"))
        minutes = timeline.step_us(rows) // 60_000_000
        # The curves may contain only some of the evaluated entities.
        entity_count = max(rows["entity"].n_unique(), metrics.get("data", {}).get("entities", 0))
        strips = {"shown": len(entities), "of": entity_count, "minutes": minutes}
    models = {name for frame in has.values() if "model" in frame for name in frame["model"]}
    return {
        "charts": dict.fromkeys(_CHARTS, "") | drawn if drawn else {},
        "strips": strips,
        "share": share,
        "two_models": "champion" in models,
        "palette": charts.PALETTE,
    }


def _share(metrics: Mapping[str, Any]) -> float | None:
    """Return the share of positives in the holdout, which is the precision of a random ranking."""
    rows, positives = (metrics.get("data", {}).get(f"holdout_{n}") for n in ("rows", "positives"))
    return positives / rows if rows and positives is not None else None


def _point(metrics: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return recall and precision at the threshold; None where one of them is missing."""
    cells = [metrics.get("candidate", {}).get(name) for name in ("recall", "precision")]
    recall, precision = (cell.get("value") if isinstance(cell, Mapping) else cell for cell in cells)
    return None if recall is None or precision is None else (float(recall), float(precision))
