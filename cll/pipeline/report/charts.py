"""Draw charts as static SVG with Altair and vl-convert; the page's CSS recolours them in dark mode."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl
import vl_convert

from cll.pipeline.report import timeline
from cll.pipeline.report.rendering import clean

# The colour of each kind of mark: in light mode, and in dark mode by the page's CSS.
PALETTE = {
    "candidate": ("#1d5fd1", "#6ea8ff"),
    "champion": ("#b4530a", "#f0a35e"),
    "text": ("#4a5565", "#a9b4c2"),
    "grid": ("#e4e8ee", "#2b3440"),
    "guide": ("#8c97a6", "#6b7686"),
    "incident": ("#f3b4ac", "#7a352f"),
    "threshold": ("#6d28d9", "#c4a5ff"),
}
_DASHES = ([5, 3], [1, 0])
_SIDE = 300  # width and height of a square chart, in pixels
_WIDTH, _STRIP, _LONE_STRIP = 680, 54, 160  # pixels; a strip shows one entity's scores
_POINTS = 200  # at most this many per curve
_FEW_DAYS = 3  # up to this many days, the time axis shows hours
_TITLE = 60  # characters of a strip's title
_ID = re.compile(r'\bid="([^"]*)"(?=[^<>]*>)')
_ID_USED = re.compile(r'(\bid="|url\(#)([\w-]+)(?=[^<>]*>)')
_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def roc(frame: pl.DataFrame) -> str:
    """Draw the true against the false positive rate; `frame` has `fpr`, `tpr` and maybe `model`."""
    layers = [_guide([(0.0, 0.0), (1.0, 1.0)]), _lines(_curve(frame, "fpr", "tpr"))]
    return _svg(_square(layers, _axes("False positive rate", "True positive rate")), "roc")


def precision_recall(
    frame: pl.DataFrame, share: float | None = None, point: tuple[float, float] | None = None
) -> str:
    """Draw precision against recall.

    `share` is the share of positives. `point` is recall and precision at the threshold.
    """
    layers = [_lines(_curve(frame, "recall", "precision"))]
    if share is not None:
        layers.insert(0, _guide([(0.0, share), (1.0, share)]))
    if point is not None:
        dot = alt.Chart(_values([{"x": point[0], "y": point[1]}]))
        color = PALETTE["threshold"][0]
        layers.append(dot.mark_point(size=70, color=color, strokeWidth=2.5, opacity=1))
    return _svg(_square(layers, _axes("Recall", "Precision")), "pr")


def calibration(frame: pl.DataFrame) -> str:
    """Draw the observed share against the mean probability; a dot's area shows its number of rows."""
    rows = _curve(frame, "mean_probability", "observed")
    top = _top(max([point[axis] for point in rows for axis in ("x", "y")], default=1.0))
    dots = alt.Chart(_values(rows)).mark_circle(opacity=0.75, clip=True).encode(color=_color())
    if "rows" in frame.columns:
        scale = alt.Scale(range=[0, 120], zero=True)
        dots = dots.encode(size=alt.Size("rows:Q", scale=scale, legend=None))
    layers = [_guide([(0.0, 0.0), (top, top)]), _lines(rows), dots]
    return _svg(_square(layers, _axes("Mean probability", "Observed share", top)), "calibration")


def scores(rows: pl.DataFrame, entities: Sequence[str], threshold: float | None = None) -> str:
    """Draw each entity's highest scores over time, with its incidents and the threshold.

    `rows` come from `timeline.scored`.
    """
    step, (first, last) = timeline.step_us(rows), timeline.bounds_us(rows)
    lines = timeline.peaks(rows, entities, step).to_dicts()
    shades = timeline.shades(rows, entities, step).to_dicts()
    top = _top(max([threshold or 0.0, *(point["y"] for point in lines)]))
    time = alt.Scale(type="utc", domain=[first // 1000, (last + step) // 1000], nice=False)
    height = max(_STRIP, _LONE_STRIP // len(entities))
    strips = []
    for number, entity in enumerate(entities):
        is_last = number == len(entities) - 1
        axis = alt.Axis(title=None, labels=is_last, ticks=is_last, **_ticks(last - first))
        layers = _strip(number, alt.X("x:T", scale=time, axis=axis), (top, threshold))
        name = clean(entity)[:_TITLE] or "(no name)"
        head = alt.TitleParams(text=name, anchor="start", frame="group", offset=4)
        strips.append(alt.layer(*layers).properties(width=_WIDTH, height=height, title=head))
    drawn = alt.vconcat(*strips, spacing=4)
    return _svg(drawn, "scores", {"lines": lines, "shades": shades})


def _ticks(span_us: int) -> dict[str, Any]:
    """Return the settings of the time axis: dates, or hours where the span is short."""
    days = span_us / 86_400_000_000
    if days > _FEW_DAYS:
        step = alt.TimeIntervalStep(interval="day", step=max(1, round(days / 8)))
        return {"tickCount": step, "format": "%b %-d"}
    return {"tickCount": 8, "format": "%H:%M" if days <= 1 else "%a %H:%M"}


def _strip(number: int, x: Any, levels: tuple[float, float | None]) -> list[Any]:
    top, threshold = levels
    axis = alt.Axis(title=None, values=[0, top], format="~g")
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, top]), axis=axis)
    own = alt.FieldEqualPredicate(field="strip", equal=number)
    shade = alt.Chart(alt.NamedData("shades")).transform_filter(own)
    line = alt.Chart(alt.NamedData("lines")).transform_filter(own)
    layers = [
        shade.mark_rect(color=PALETTE["incident"][0], clip=True).encode(x=x, x2="x2"),
        line.mark_line(strokeWidth=1.4, strokeCap="round", clip=True).encode(
            x=x, y=y, color=_color(), strokeDash=_dash(), detail="part:N"
        ),
    ]
    if threshold is not None:
        rule = alt.Chart(_values([{"y": threshold}]))
        color = PALETTE["threshold"][0]
        layers.append(rule.mark_rule(color=color, strokeDash=[4, 3]).encode(y=y))
    return layers


def _curve(frame: pl.DataFrame, x: str, y: str) -> list[dict[str, Any]]:
    rows = timeline.modelled(frame).with_columns(pl.col(x, y).cast(pl.Float64, strict=False))
    rows = rows.filter(pl.col(x).is_finite() & pl.col(y).is_finite())
    extra = [name for name in ("rows",) if name in rows.columns]
    points: list[dict[str, Any]] = []
    for model in timeline.MODELS:
        model_rows = rows.filter(pl.col("model") == model)
        thinned = model_rows[_thin(model_rows[x].to_numpy(), model_rows[y].to_numpy())]
        named = thinned.select("model", *extra, x=pl.col(x).round(5), y=pl.col(y).round(5))
        points += named.with_row_index("order").to_dicts()
    return points


def _thin(x: Any, y: Any) -> list[int]:
    """Return indices of points at about even distances along the line, including both ends."""
    if len(x) <= _POINTS:
        return list(range(len(x)))
    length = np.cumsum(np.abs(np.diff(x, prepend=x[0])) + np.abs(np.diff(y, prepend=y[0])))
    stops = np.searchsorted(length, np.linspace(0.0, length[-1], _POINTS))
    return sorted({0, len(x) - 1, *np.minimum(stops, len(x) - 1).tolist()})


def _top(highest: float) -> float:
    return next((top for top in _TICKS if highest <= top), 1.0)


def _values(rows: list[dict[str, Any]]) -> Any:
    return alt.InlineData(values=rows)


def _axes(x: str, y: str, top: float | None = None) -> dict[str, Any]:
    """Return both axes: linear up to 1, or, with `top`, a square-root scale up to it.

    The square root spreads small probabilities, which most rows have.
    """
    if top is None:
        ticks: dict[str, Any] = {"tickCount": 5}
        scale = alt.Scale(domain=[0, 1])
    else:
        shown = [tick for tick in _TICKS if top / 20 <= tick <= top]
        ticks = {"values": [0, *shown]}
        scale = alt.Scale(type="sqrt", domain=[0, top], nice=False)
    axis = alt.Axis(format="~g", labelFlush=False, **ticks)
    return {
        "x": alt.X("x:Q", scale=scale, axis=axis, title=x),
        "y": alt.Y("y:Q", scale=scale, axis=axis, title=y),
    }


def _color() -> Any:
    colors = [PALETTE[name][0] for name in timeline.MODELS]
    return alt.Color("model:N", scale=alt.Scale(domain=timeline.MODELS, range=colors), legend=None)


def _dash() -> Any:
    return alt.StrokeDash(
        "model:N", scale=alt.Scale(domain=timeline.MODELS, range=_DASHES), legend=None
    )


def _lines(rows: list[dict[str, Any]]) -> Any:
    line = alt.Chart(_values(rows)).mark_line(strokeWidth=2, clip=True)
    return line.encode(color=_color(), strokeDash=_dash(), order="order:Q")


def _guide(ends: list[tuple[float, float]]) -> Any:
    line = alt.Chart(_values([{"x": x, "y": y} for x, y in ends]))
    return line.mark_line(color=PALETTE["guide"][0], strokeWidth=1, strokeDash=[3, 3])


def _square(layers: list[Any], axes: dict[str, Any]) -> Any:
    placed = [layer.encode(**axes) for layer in layers]
    return alt.layer(*placed).properties(width=_SIDE, height=_SIDE)


def _svg(chart: Any, name: str, data: Mapping[str, Any] | None = None) -> str:
    text, grid, guide = (PALETTE[key][0] for key in ("text", "grid", "guide"))
    axis = {
        "labelColor": text, "titleColor": text, "gridColor": grid, "domainColor": guide,
        "tickColor": guide, "labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": "normal",
    }  # fmt: skip
    # The font is part of vl-convert, so labels have the same place on every machine.
    config = {"aria": False, "background": "transparent", "font": "Liberation Sans", "axis": axis}
    title = {"color": text, "fontSize": 12, "fontWeight": "normal"}
    drawn = chart.configure(**config).configure_view(stroke=None).configure_title(**title)
    spec = drawn.to_dict(validate=False)  # Altair validated each part before
    # Data are added by name, since Altair copies and validates inline data many times.
    spec["datasets"] = spec.get("datasets", {}) | dict(data or {})
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return _embedded(vl_convert.vegalite_to_svg(spec, vl_version=version), name)


def _embedded(svg: str, name: str) -> str:
    """Prepare an SVG for the page: make its ids unique, name its caption, shorten its numbers."""
    # Vega numbers ids over the whole life of a process. Numbered again, the bytes are reproducible.
    numbers = {old: str(k) for k, old in enumerate(dict.fromkeys(_ID.findall(svg)))}
    svg = _ID_USED.sub(lambda m: f"{m[1]}{name}-{numbers.get(m[2], m[2])}", svg)
    svg = re.sub(r"-?\d+\.\d{3,}(?=[^<>]*>)", lambda m: f"{float(m[0]):.2f}", svg)
    named = f'class="chart {name}" role="img" aria-labelledby="{name}-caption"'
    return svg.replace('class="marks"', named, 1)
