import functools
import html
import html.parser
import re
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from cll.pipeline.report.report import MARKDOWN_LIMIT, Report, report
from cll.types.tables import REJECTS
from cll.types.verdicts import Rule, Verdict

EVIL = "<script>alert('x')</script>|`a`\n\n# @org/team #1 \u202e*b*"
ENTITIES = [f"checkout-{n}" for n in range(8)]


def cell(value, width=0.02):
    return {"value": value, "low": value - width, "high": value + width}


def scored(entities, rows=400):
    """Probabilities that rise before each entity's incidents, a candidate's and a champion's."""
    draw = np.random.default_rng(7)
    start = datetime(2026, 1, 24, tzinfo=UTC)
    frames = []
    for number, entity in enumerate(entities):
        phase = (np.arange(rows) * 17 + number * 61) % 400
        label = (phase >= 370).astype(np.int8) if number % 3 else np.zeros(rows, np.int8)
        for model, sharpness in (("candidate", 3.4), ("champion", 2.4)):
            logit = -3.6 + sharpness * label + draw.normal(0, 0.8, rows)
            frames.append(
                pl.DataFrame(
                    {
                        "entity": [entity] * rows,
                        "time": [start + timedelta(minutes=25 * k) for k in range(rows)],
                        "probability": 1 / (1 + np.exp(-logit)),
                        "label": label,
                        "incident": [number if one else None for one in label],
                        "model": [model] * rows,
                    },
                    schema_overrides={"incident": pl.Int32},
                )
            )
    return pl.concat(frames)


def curves_of(scores):
    found = {"roc": [], "pr": [], "calibration": []}
    for (model,), rows in scores.group_by("model", maintain_order=True):
        ordered = rows.sort("probability", descending=True)
        y, p = ordered["label"].to_numpy(), ordered["probability"].to_numpy()
        hits, misses = np.cumsum(y), np.cumsum(1 - y)
        roc = {"fpr": misses / misses[-1], "tpr": hits / hits[-1]}
        pr = {"recall": hits / hits[-1], "precision": hits / (hits + misses)}
        bins = [b for b in np.array_split(np.arange(len(y))[::-1], 10) if len(b)]
        told = {
            "mean_probability": [p[b].mean() for b in bins],
            "observed": [y[b].mean() for b in bins],
            "rows": [len(b) for b in bins],
        }
        for name, columns in (("roc", roc), ("pr", pr), ("calibration", told)):
            found[name].append(pl.DataFrame(columns).with_columns(model=pl.lit(model)))
    return {name: pl.concat(parts) for name, parts in found.items()} | {"scores": scores}


METRICS = {
    "candidate": {
        "accuracy": cell(0.96512, 0.004), "roc_auc": cell(0.93127), "average_precision": cell(0.7023, 0.041),
        "brier": cell(0.02817, 0.003), "log_loss": cell(0.1043, 0.008), "calibration_error": cell(0.00913, 0.002),
        "precision": cell(0.6611, 0.05), "recall": cell(0.7142, 0.05), "f1": cell(0.6866, 0.04),
        "balanced_accuracy": cell(0.8467, 0.02), "kappa_temporal": cell(0.412, 0.06),
    },
    "champion": {
        "roc_auc": cell(0.90011), "average_precision": cell(0.6125, 0.045), "brier": cell(0.0331, 0.003),
        "precision": cell(0.6011, 0.05), "recall": cell(0.6502, 0.05),
    },
    "baseline": {
        "prior": {"roc_auc": 0.5, "average_precision": 0.0525, "brier": 0.0498, "accuracy": 0.9475},
        "no_change": {"roc_auc": 0.613, "average_precision": 0.112, "accuracy": 0.9512, "f1": 0.31},
        "one_column": {"roc_auc": 0.841, "average_precision": 0.397, "f1": 0.48},
    },
    "difference": {"roc_auc": cell(0.03116, 0.011), "average_precision": cell(0.0898, 0.031)},
    "bayes": {"roc_auc": 0.9541, "accuracy": 0.9702}, "gap": {"roc_auc": 0.0228, "accuracy": 0.0051},
    "events": {"incidents": 38, "caught": 33, "caught_share": 0.868, "lead_minutes_median": 21.5, "lead_minutes_p10": 5.0, "alarms_per_day": 3.2, "false_alarms_per_day": 1.71},
    "slices": {
        "group=web": {"positives": 1031, "roc_auc": 0.941, "average_precision": 0.723, "recall": 0.75},
        "group=batch": {"roc_auc": 0.902, "average_precision": 0.61},
        "kind=leak": {"roc_auc": 0.981, "recall": 0.92}, "kind=slow_dependency": {"roc_auc": 0.861, "recall": 0.51},
    },
    "data": {
        "in": 172921, "kept": 172800, "quarantined": 31, "duplicate": 90, "pending": 0, "rows": 138240, "positives": 7258,
        "holdout_rows": 34560, "holdout_positives": 1811, "embargoed": 120, "excluded": {"immature": 240, "running": 1204, "uncovered": 60},
    },
}  # fmt: skip
VERDICT = Verdict(
    "promote",
    "3f9a1c77d2e84b06",
    "b07c5512aa90e3d1",
    (
        Rule("floor.average_precision", 0.7023, 0.5, "passed", "Average precision is above the floor that holds with or without a champion."),
        Rule("better_than_champion", 0.0898, 0.0, "passed", "The lower 95 % bound of the paired difference in average precision is 0.041."),
        Rule("beats.one_column", 0.397, 0.0, "passed", "The best single column is beaten."),
        Rule("calibration_error", 0.00913, 0.05, "passed", "Probabilities mean what they say."),
        Rule("positive_blocks", 73.0, 50, "passed", "There are enough blocks with a positive to calibrate on."),
        Rule("leakage", None, None, "noted", "No single feature separates the classes by itself."),
    ),
)  # fmt: skip
MODEL = {
    "model_id": "3f9a1c77d2e84b06", "created": "2026-01-31T00:00:00Z", "model_type": "lightgbm", "version": 1, "threshold": 0.3417,
    "calibration": {"slope": 0.9713, "intercept": -0.0421},
    "features": [{"name": f"cpu_usage_mean_{n}h", "type": "float32"} for n in range(30)],
    "importance": {f"{name}_{stat}_{span}": 1 / (3 + k) / 3.5 for k, (name, stat, span) in enumerate(
        (n, s, w) for n in ("error_rate", "memory_usage", "response_time", "cpu_usage") for s in ("slope", "peer_rank", "zscore") for w in ("30m", "2h"))},
    "lineage": {
        "data_sha256": "9d2c1e5b7f60a4438821ce07f4d3b8aa9d2c1e5b7f60a4438821ce07f4d3b8aa", "train_from": "2026-01-01T00:00:00Z",
        "train_until": "2026-01-23T23:25:00Z", "rows": 138240, "positives": 7258,
        "libraries": {"lightgbm": "4.7.0", "numpy": "2.4.1", "polars": "2.1.0"}, "config": {"estimator": {"num_leaves": 31, "learning_rate": 0.05}, "seed": 1}, "notes": {},
    },
}  # fmt: skip
CONTEXT = {
    "as_of": "2026-01-31T00:00:00Z",
    "choices": {"source": "synthetic", "features": "windows", "label": "incident", "estimator": "lightgbm"},
    "directions": {"roc_auc": "higher", "brier": "lower", "log_loss": "lower"},
}  # fmt: skip


def rejects(reasons=3, name="signals.jsonl"):
    rows = [
        {"table": "signals", "file": f"raw/{name}", "row": 10 + 7 * k, "field": "cpu_usage", "value": "-12.5" if k % 2 else None, "reason": f"reason {k % reasons}: below 0"}
        for k in range(31)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=REJECTS)


@functools.cache
def told() -> Report:
    curves = curves_of(scored(ENTITIES))
    return report(METRICS, VERDICT, curves, MODEL, rejects(), CONTEXT)


@functools.cache
def hostile(name=EVIL) -> Report:
    curves = curves_of(scored([name, "other", f"x{name}"], 60))
    verdict = Verdict("reject", name, name, (Rule(name, name, name, "failed", name),))
    model = MODEL | {
        "model_id": name,
        "model_type": name,
        "features": [name],
        "importance": {name: 1.0},
    }
    model |= {"lineage": {name: name, "config": {name: [name]}}}
    metrics = METRICS | {
        "slices": {name: {"roc_auc": 0.5}},
        "events": {name: 1},
        "data": {name: name},
    }
    context = {"as_of": name, "title": name, "choices": {name: name}}
    bad = pl.DataFrame([dict.fromkeys(REJECTS, name) | {"row": 1}], schema=REJECTS)
    return report(metrics, verdict, curves, model, bad, context)  # fmt: skip


class Outline(html.parser.HTMLParser):
    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attrs, self.open, self.tables = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs += [(tag, *pair) for pair in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@functools.cache
def outline(kind="told"):
    return Outline({"told": told, "hostile": hostile}[kind]().html)


def tables(markdown):
    """The tables of a Markdown text: lines of cells, as GitHub counts them."""
    for block in re.findall(r"(?:^\|.*\n?)+", markdown, re.MULTILINE):
        yield [len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().split("\n")]


def test_a_script_in_a_name_is_shown_as_text():
    assert "script" not in outline("hostile").tags
    assert "&lt;script&gt;" in hostile().html
    assert "<script" not in hostile().html


def test_a_name_brings_no_attribute_and_no_link_onto_the_page():
    evil = 'x" onmouseover="alert(1)" style="background:url(//e)"><a href="javascript:x">'
    found = Outline(hostile(evil).html)
    names = {attribute for _, attribute, _ in found.attrs}
    assert not {name for name in names if name.startswith("on") or name in {"href", "src"}}
    assert not {"a", "img", "link", "iframe", "object"} & set(found.tags)


def test_a_character_that_would_reorder_the_text_is_shown_as_its_code():
    assert "\u202e" not in hostile().html + hostile().markdown
    assert r"\u202e" in hostile().html


def test_half_a_character_from_json_does_not_stop_the_page():
    model = MODEL | {"lineage": {"config": {"a": "\ud800"}, "data_sha256": "\udfff"}}
    told = report(METRICS, VERDICT, {}, model, rejects(), CONTEXT)
    assert (told.html + told.markdown).encode()


def test_a_name_with_a_pipe_or_a_line_break_adds_no_cell_to_a_markdown_table():
    found = list(tables(hostile().markdown))
    assert len(found) >= 6
    assert all(len(set(cells)) == 1 for cells in found)


def test_a_name_is_no_markup_mention_or_issue_in_markdown():
    text = hostile("@org/team #12 **b** <b>x</b> [a](http://e) $x$ `c`").markdown
    for sign in ("@org", "#12", "**b**", "<b>", "](http", "$x$", "`c`"):
        assert sign not in text


def test_a_plain_name_is_code_in_markdown():
    assert "`checkout_1/eu-west.a`" in hostile("checkout_1/eu-west.a").markdown


def test_the_page_loads_nothing_from_the_network():
    values = [value or "" for _, name, value in outline().attrs if not name.startswith("xmlns")]
    assert not [value for value in values if "//" in value]
    assert "default-src 'none'" in told().html
    assert "@import" not in told().html
    assert not re.findall(r"url\((?!#)", told().html)


def test_the_pages_elements_are_closed_in_order_and_its_ids_are_unique():
    ids = [value for _, name, value in outline().attrs if name == "id"]
    assert outline().open == []
    assert len(ids) == len(set(ids))


def test_each_chart_has_a_role_and_a_caption_that_names_it():
    found = outline().attrs
    ids = {value for _, name, value in found if name == "id"}
    named = [value for tag, name, value in found if tag == "svg" and name == "aria-labelledby"]
    assert len(named) == 4
    assert set(named) <= ids
    assert [value for tag, name, value in found if (tag, name) == ("svg", "role")] == ["img"] * 4


def test_each_table_has_a_caption_and_scoped_headers():
    tags = outline().tags
    scopes = [value for tag, name, value in outline().attrs if (tag, name) == ("th", "scope")]
    assert tags.count("caption") == tags.count("table") >= 6
    assert tags.count("th") == len(scopes)


def test_the_page_supports_phones_and_dark_mode():
    assert 'name="viewport"' in told().html
    assert "prefers-color-scheme: dark" in told().html


def luminance(color):
    digits = color[1:] if len(color) == 7 else "".join(2 * one for one in color[1:])
    parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_a_contrast_of_at_least_four_and_a_half(dark):
    blocks = re.findall(r":root \{(.*?)\}", told().html, re.DOTALL)
    color = dict(re.findall(r"--([\w-]+): (#\w+);", blocks[dark]))
    pairs = [("ink", "page"), ("soft", "page"), ("soft", "wash"), ("ink", "wash"), ("text", "page")]
    pairs += [(tone, f"{tone}-wash") for tone in ("good", "bad", "open", "note")]
    for front, ground in pairs:
        low, high = sorted((luminance(color[front]), luminance(color[ground])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (front, ground)


def test_the_verdict_comes_before_its_figures():
    order = [
        told().html.index(f'id="{name}"') for name in ("rules", "metrics", "curves", "lineage")
    ]
    assert order == sorted(order)
    assert "promote</span>" in told().html[: order[0]]


@pytest.mark.parametrize(
    ("answer", "champion", "says"),
    [
        ("promote", "none", "The candidate may become the first champion."),
        ("reject", "abc", "The champion stays in force."),
        ("not enough evidence", "none", "No model comes into force until there is more evidence."),
    ],
)
def test_the_verdict_is_explained_in_a_sentence(answer, champion, says):
    verdict = Verdict(answer, "m", champion)
    found = report({}, verdict, {}, {}, rejects().clear(), {})
    assert says in found.html
    assert says in found.markdown


def test_each_rule_has_its_value_bound_outcome_and_sentence():
    line = "| Floor: average precision | 0.702 | 0.500 | ✅ passed | Average precision is above"
    assert line in told().markdown
    assert "Average precision is above the floor" in told().html


def test_a_metric_has_its_interval_and_the_champions_and_baselines_values():
    assert (
        "| ROC AUC | 0.931 [0.911, 0.951] | 0.900 [0.880, 0.920] | 0.031 [0.020, 0.042] "
        "| 0.500 | 0.613 | 0.841 | 0.954 | 0.023 |"
    ) in told().markdown
    assert '0.931 <span class="range">[0.911, 0.951]</span>' in told().html


def test_no_champion_no_baseline_and_no_curve_leave_no_empty_column_or_chart():
    metrics = {"candidate": {"roc_auc": {"value": 0.8}}}
    found = report(metrics, VERDICT, {}, {}, rejects().clear(), {})
    assert "| Metric | Candidate |\n|:--|--:|\n| ROC AUC | 0.800 |" in found.markdown
    assert "<svg" not in found.html


def test_an_empty_curve_is_left_out():
    curves = {"roc": pl.DataFrame(schema={"fpr": pl.String, "tpr": pl.String})}
    assert "<svg" not in report(METRICS, VERDICT, curves, MODEL, rejects(), CONTEXT).html


@pytest.mark.parametrize("name", ["roc", "pr", "calibration", "scores"])
def test_a_missing_curve_leaves_the_others(name):
    curves = {k: v for k, v in curves_of(scored(ENTITIES, 60)).items() if k != name}
    page = report(METRICS, VERDICT, curves, MODEL, rejects(), CONTEXT).html
    assert page.count("<svg") == len(curves)


def test_record_counts_that_do_not_add_up_are_shown_as_an_inequality():
    data = {"in": 10, "kept": 8, "quarantined": 1, "duplicate": 0, "pending": 0}
    lost = report({"data": data}, VERDICT, {}, {}, rejects(), {})
    assert "10 records in ≠ 8 kept + 1 quarantined + 0 duplicate + 0 pending" in lost.markdown
    assert "172,921 records in = 172,800 kept + 31 quarantined" in told().markdown


def test_quarantine_is_counted_by_reason_with_the_first_examples():
    assert "| reason 0: below 0 | 11 | `signals.cpu_usage` | `raw/signals.jsonl:10` |" in (
        told().markdown
    )
    assert "<code>raw/signals.jsonl:31</code> <code>-12.5</code>" in told().html
    assert "raw/signals.jsonl:73" not in told().html


def test_a_record_refused_as_a_whole_names_no_field():
    whole = rejects().with_columns(field=pl.lit(None, pl.String))
    found = report(METRICS, VERDICT, {}, MODEL, whole, CONTEXT)
    assert "None" not in found.html + found.markdown
    assert "| reason 0: below 0 | 11 | whole record | `raw/signals.jsonl:10` |" in found.markdown
    assert "<code>signals</code>, whole record" in found.html


def test_a_slice_is_shown_with_its_positives():
    assert "| Slice | Positives | ROC AUC |" in told().markdown
    assert "| `group=web` | 1,031 | 0.941 |" in told().markdown
    assert "<td>1,031</td>" in told().html


@pytest.mark.parametrize(
    "says",
    [
        "Temporal kappa is accuracy beyond no-change: 0 is no better, 1 is never wrong.",
        "interval lies high, since its estimate is biased upwards.",
        "Alerts close together are one alarm.",
        "A lead time is at most the horizon",
        "Embargoed rows have a label, but lie on neither side of the split.",
        "Immature rows have a label that is not known yet.",
        "Running rows lie inside an incident, which is not forecast.",
        "Uncovered rows lie outside the observed span.",
    ],
)
def test_a_figure_whose_name_is_not_enough_has_a_note(says):
    assert says in told().html
    assert re.search(rf"^- .*{re.escape(says)}", told().markdown, re.MULTILINE)
    bare = report({"candidate": {"roc_auc": cell(0.9)}}, VERDICT, {}, {}, rejects(), {})
    assert says not in bare.html + bare.markdown


def test_simulated_data_are_named_before_the_verdict():
    metrics = METRICS | {"data": METRICS["data"] | {"fallback": "synthetic"}}
    found = report(metrics, VERDICT, {}, MODEL, rejects(), CONTEXT)
    says = "Simulated data: the source's folder was missing (fallback)."
    for text in (html.unescape(found.html), found.markdown):
        assert text.index(says) < text.index("The candidate may take over")
    assert "Simulated data" not in told().html + told().markdown


def test_importances_are_ranked_and_end_with_the_twentieth():
    names = re.findall(r"<code>(\w+)</code></th><td>", told().html)
    ranked = sorted(MODEL["importance"].items(), key=lambda item: (-item[1], item[0]))
    assert names == [name for name, _ in ranked[:20]]


def test_of_many_entities_the_page_shows_those_with_the_most_incidents():
    assert "6 of 8 entities: those with the most incidents" in told().html


def test_markdown_fits_into_a_comment_with_any_metrics():
    slices = {f"{EVIL * 5}{n}": {"roc_auc": 0.5} for n in range(200)}
    events = {f"{EVIL * 5}{n}": n for n in range(500)}
    metrics = METRICS | {"slices": slices, "events": events}
    found = report(metrics, VERDICT, {}, MODEL, rejects(), CONTEXT)
    assert len(found.markdown.encode()) < MARKDOWN_LIMIT
    assert "This comment was too long; the HTML report has the details." in found.markdown


def test_markdown_has_no_image_and_no_chart():
    assert "![" not in told().markdown
    assert "<svg" not in told().markdown


def test_the_same_values_give_the_same_bytes():
    again = report(METRICS, VERDICT, curves_of(scored(ENTITIES)), MODEL, rejects(), CONTEXT)
    assert again == told()


def test_a_month_of_a_fleet_makes_a_page_under_a_megabyte_in_five_seconds_of_cpu():
    scores = scored([f"host-{n}" for n in range(20)], 1000)
    curves = curves_of(scores)
    start = time.process_time()
    found = report(METRICS, VERDICT, curves, MODEL, rejects(), CONTEXT)
    assert time.process_time() - start < 5
    assert len(found.html.encode()) < 1_000_000


def test_the_page_marks_the_metrics_that_state_that_lower_is_better():
    metrics = {**METRICS, "candidate": dict.fromkeys(("roc_auc", "brier", "log_loss"), 0.5)}
    for better in ("higher", "lower"):
        context = {**CONTEXT, "directions": dict.fromkeys(metrics["candidate"], better)}
        page = report(metrics, VERDICT, {}, MODEL, rejects(), context).html
        assert page.count("lower is better") == (3 if better == "lower" else 0)
