import os
import pathlib
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cll.pipeline.report import charts, timeline

START = datetime(2026, 1, 30, tzinfo=UTC)
CANDIDATE, CHAMPION, INCIDENT, THRESHOLD = (
    charts.PALETTE[name][0] for name in ("candidate", "champion", "incident", "threshold")
)


def roc(points=50):
    grid = [k / (points - 1) for k in range(points)]
    return pl.DataFrame({"fpr": grid, "tpr": [x**0.3 for x in grid]})


def rows(names=("a", "b"), count=60):
    return timeline.scored(
        pl.DataFrame(
            {
                "entity": [name for name in names for _ in range(count)],
                "time": [START + timedelta(minutes=5 * k) for _ in names for k in range(count)],
                "probability": [0.9 if k > 50 else 0.1 for _ in names for k in range(count)],
                "label": [int(k > 50) for _ in names for k in range(count)],
            }
        )
    )


def test_a_chart_is_drawn_to_the_same_bytes_each_time():
    # Vega numbers its clip paths over a process's whole life.
    assert charts.roc(roc()) == charts.roc(roc())
    assert charts.scores(rows(), ["a"], 0.5) == charts.scores(rows(), ["a"], 0.5)


def test_a_chart_is_the_same_in_every_time_zone():
    code = "import sys; from tests.pipeline.report import test_charts as t; sys.stdout.write(t.charts.scores(t.rows(), ['a']))"
    tokyo = os.environ | {
        "TZ": "Asia/Tokyo",
        "PYTHONPATH": os.fspath(pathlib.Path(__file__).parents[3]),
    }
    far = subprocess.run([sys.executable, "-c", code], env=tokyo, capture_output=True, check=True)
    assert far.stdout.decode() == charts.scores(rows(), ["a"])


@pytest.mark.parametrize(
    ("days", "label"), [(1, "12:00"), (2, "Fri 12:00"), (7, "Jan 31"), (90, "Mar 1")]
)
def test_the_time_axis_shows_hours_or_dates(days, label):
    frame = rows(("a",), 2).with_columns(
        time=pl.Series([START, START + timedelta(days=days)]).cast(timeline.INSTANT)
    )
    assert f">{label}</text>" in charts.scores(frame, ["a"])


def test_two_charts_on_a_page_share_no_id():
    found = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (charts.roc(roc()),)]
    found.append(set(re.findall(r'\bid="([^"]+)"', charts.precision_recall(PR))))
    assert all(found)
    assert not found[0] & found[1]


PR = pl.DataFrame({"recall": [0.0, 0.5, 1.0], "precision": [1.0, 0.8, 0.1]})


def test_every_clip_path_that_is_used_is_defined():
    svg = charts.scores(rows(), ["a", "b"], 0.5)
    used = set(re.findall(r"url\(#([^)]+)\)", svg))
    assert used
    assert used <= set(re.findall(r'\bid="([^"]+)"', svg))


def test_an_entity_with_a_script_in_its_name_stays_text_in_the_chart():
    name = '<script>x</script>"><g onload="y">&amp;\n\u202e'
    svg = charts.scores(rows((name,)), [name])
    assert "<script" not in svg
    assert "<g onload" not in svg
    assert "&lt;script&gt;" in svg
    assert "\u202e" not in svg


def test_an_entity_without_a_name_still_has_a_strip():
    assert "(no name)" in charts.scores(rows(("",)), [""])


@pytest.mark.parametrize("both", [False, True])
def test_the_champion_is_drawn_if_it_is_in_the_data(both):
    frame = roc().with_columns(model=pl.lit("candidate"))
    if both:
        frame = pl.concat([frame, roc().with_columns(model=pl.lit("champion"))])
    svg = charts.roc(frame)
    assert CANDIDATE in svg
    assert (CHAMPION in svg) is both


def test_every_strip_shows_the_threshold_and_the_incidents():
    svg = charts.scores(rows(), ["a", "b"], 0.5)
    assert svg.count(f'stroke="{THRESHOLD}"') == 2
    assert svg.count(f'fill="{INCIDENT}"') == 2
    assert THRESHOLD not in charts.scores(rows(), ["a", "b"])


def test_a_curve_of_many_points_is_thinned_and_keeps_its_ends():
    svg = charts.roc(roc(50_000))
    assert len(svg) < 30_000
    line = re.search(rf'd="(M[^"]*)"[^>]*stroke="{CANDIDATE}"', svg)
    assert line is not None
    assert line[1].startswith("M0,300")
    assert line[1].endswith("L300,0")


def test_points_that_are_not_finite_are_left_out():
    frame = pl.DataFrame({"recall": [0.0, float("nan"), 1.0], "precision": [None, 0.5, 0.1]})
    assert "NaN" not in charts.precision_recall(frame, 0.1, (0.5, 0.5))


def test_calibration_reaches_as_far_as_its_points_and_needs_no_row_counts():
    frame = pl.DataFrame({"mean_probability": [0.001, 0.03], "observed": [0.0, 0.04]})
    svg = charts.calibration(frame)
    assert ">0.05</text>" in svg
    assert ">0.1</text>" not in svg


def test_every_colour_of_a_chart_has_a_dark_mode_colour():
    svg = charts.roc(roc()) + charts.precision_recall(PR, 0.1, (0.5, 0.5))
    svg += charts.scores(rows(), ["a"], 0.5)
    used = set(re.findall(r'(?:fill|stroke)="(#\w+|[a-z]+)"', svg)) - {"none", "transparent"}
    assert used <= {light for light, _ in charts.PALETTE.values()}


def test_bins_of_about_equally_many_rows_have_dots_of_about_one_size():
    columns = {"mean_probability": [0.2, 0.4], "observed": [0.2, 0.4], "rows": [2799, 2800]}
    svg = charts.calibration(pl.DataFrame(columns))
    radii = [float(r) for r in re.findall(rf'd="M([\d.]+),0A[^"]*"[^>]*fill="{CANDIDATE}"', svg)]
    assert len(radii) == 2
    assert radii[0] == pytest.approx(radii[1], abs=0.02)
