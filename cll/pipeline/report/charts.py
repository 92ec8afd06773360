"""Charts as static SVG text: drawn by Altair and vl-convert, recoloured by the page's CSS."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl
import vl_convert

from cll.pipeline.report import timeline
from cll.pipeline.report.rendering import clean

# What a colour stands for: in light, and what the page's CSS makes of it in dark.
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
_SIDE = 300  # pixels, of a square chart
_WIDTH, _STRIP, _LONE_STRIP = 680, 54, 160  # pixels, of the scores over time
_POINTS = 200  # of a curve
_FEW_DAYS = 3  # up to which the hours are told
_TITLE = 60  # characters of a strip's
_ID = re.compile(r'\bid="([^"]*)"(?=[^<>]*>)')
_ID_USED = re.compile(r'(\bid="|url\(#)([\w-]+)(?=[^<>]*>)')
_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def roc(frame: pl.DataFrame) -> str:
    """Draw true against false positive rate, from `fpr`, `tpr` and perhaps `model`."""
    layers = [_guide([(0.0, 0.0), (1.0, 1.0)]), _lines(_curve(frame, "fpr", "tpr"))]
    return _svg(_square(layers, _axes("False positive rate", "True positive rate")), "roc")


def precision_recall(
    frame: pl.DataFrame, share: float | None = None, point: tuple[float, float] | None = None
) -> str:
    """Draw precision against recall; `share` is that of positives, `point` the threshold's."""
    layers = [_lines(_curve(frame, "recall", "precision"))]
    if share is not None:
        layers.insert(0, _guide([(0.0, share), (1.0, share)]))
    if point is not None:
        dot = alt.Chart(_values([{"x": point[0], "y": point[1]}]))
        color = PALETTE["threshold"][0]
        layers.append(dot.mark_point(size=70, color=color, strokeWidth=2.5, opacity=1))
    return _svg(_square(layers, _axes("Recall", "Precision")), "pr")


def calibration(frame: pl.DataFrame) -> str:
    """Draw the observed share against the mean probability; a dot's area tells its rows."""
    rows = _curve(frame, "mean_probability", "observed")
    top = _top(max([point[axis] for point in rows for axis in ("x", "y")], default=1.0))
    dots = alt.Chart(_values(rows)).mark_circle(opacity=0.75, clip=True).encode(color=_color())
    if "rows" in frame.columns:
        scale = alt.Scale(range=[0, 120], zero=True)
        dots = dots.encode(size=alt.Size("rows:Q", scale=scale, legend=None))
    layers = [_guide([(0.0, 0.0), (top, top)]), _lines(rows), dots]
    return _svg(_square(layers, _axes("Mean probability", "Observed share", top)), "calibration")


def scores(rows: pl.DataFrame, entities: Sequence[str], threshold: float | None = None) -> str:
    """Draw each entity's peaks over its incidents and the threshold; `rows`: timeline.scored."""
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
    """Tell days by their date, and a day or two by the hour."""
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
        own = rows.filter(pl.col("model") == model)
        kept = own[_spread(own[x].to_numpy(), own[y].to_numpy())]
        named = kept.select("model", *extra, x=pl.col(x).round(5), y=pl.col(y).round(5))
        points += named.with_row_index("order").to_dicts()
    return points


def _spread(x: Any, y: Any) -> list[int]:
    """Pick points at about even distances along a line, with both ends."""
    if len(x) <= _POINTS:
        return list(range(len(x)))
    walked = np.cumsum(np.abs(np.diff(x, prepend=x[0])) + np.abs(np.diff(y, prepend=y[0])))
    stops = np.searchsorted(walked, np.linspace(0.0, walked[-1], _POINTS))
    return sorted({0, len(x) - 1, *np.minimum(stops, len(x) - 1).tolist()})


def _top(highest: float) -> float:
    return next((top for top in _TICKS if highest <= top), 1.0)


def _values(rows: list[dict[str, Any]]) -> Any:
    return alt.InlineData(values=rows)


def _axes(x: str, y: str, top: float | None = None) -> dict[str, Any]:
    """Build the axes: linear up to 1, or square-root up to `top`, where most rows lie low."""
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
    # The font comes with vl-convert, so that a machine's own fonts don't move a label.
    config = {"aria": False, "background": "transparent", "font": "Liberation Sans", "axis": axis}
    title = {"color": text, "fontSize": 12, "fontWeight": "normal"}
    drawn = chart.configure(**config).configure_view(stroke=None).configure_title(**title)
    spec = drawn.to_dict(validate=False)  # as each part was when it was made
    # Data by name, since Altair copies and checks what stands inline many times over.
    spec["datasets"] = spec.get("datasets", {}) | dict(data or {})
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return _embedded(vl_convert.vegalite_to_svg(spec, vl_version=version), name)


def _embedded(svg: str, name: str) -> str:
    """Make an SVG part of a page: ids and a caption of its own, and short numbers."""
    # Vega counts ids up over a process's whole life: counted anew, the bytes stay the same.
    numbers = {old: str(k) for k, old in enumerate(dict.fromkeys(_ID.findall(svg)))}
    svg = _ID_USED.sub(lambda m: f"{m[1]}{name}-{numbers.get(m[2], m[2])}", svg)
    svg = re.sub(r"-?\d+\.\d{3,}(?=[^<>]*>)", lambda m: f"{float(m[0]):.2f}", svg)
    named = f'class="chart {name}" role="img" aria-labelledby="{name}-caption"'
    return svg.replace('class="marks"', named, 1)
