"""Draw a metric against cost as a standalone SVG, with one named point per policy."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert

_WIDTH, _HEIGHT = 640, 380  # pixels
_NAME, _NAMES = 40, 3  # characters per policy name, and names per label
_NEAR_X, _NEAR_Y = 0.15, 0.06  # points this near, as shares of the chart, have one label


def draw(points: Sequence[Mapping[str, Any]], metric: str) -> str:
    """Return the SVG; a point has `x` (CPU seconds), `y` (the metric) and `policy` (a name)."""
    room = alt.Scale(zero=True, domainMax=1.2 * max(float(point["x"]) for point in points))
    x = alt.X("x:Q", title="CPU seconds to train and judge", scale=room)
    y = alt.Y("y:Q", title=metric, scale=alt.Scale(zero=False, padding=20))
    dots = alt.Chart(alt.InlineData(values=[dict(point) for point in points])).encode(x=x, y=y)
    names = alt.Chart(alt.InlineData(values=_labels(points))).encode(x=x, y=y, text="names:N")
    layers = (
        dots.mark_circle(size=90, color="#1d5fd1", opacity=0.8),
        names.mark_text(align="left", dx=9, dy=-9, fontSize=11, color="#4a5565", lineBreak="\n"),
    )
    chart = alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)
    spec = chart.configure(background="white", font="Liberation Sans").to_dict(validate=False)
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return vl_convert.vegalite_to_svg(spec, vl_version=version)


def _labels(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the labels; points near one another share a label, to the right of them."""
    groups: list[list[Mapping[str, Any]]] = []
    width, height = (_span([float(point[axis]) for point in points]) for axis in ("x", "y"))
    for point in sorted(points, key=lambda point: (point["x"], point["y"])):
        for group in groups:
            last = group[-1]
            is_near = point["x"] - last["x"] <= _NEAR_X * width
            if is_near and abs(point["y"] - last["y"]) <= _NEAR_Y * height:
                group.append(point)
                break
        else:
            groups.append([point])
    return [
        {"x": max(p["x"] for p in group), "y": group[0]["y"], "names": _names(group)}
        for group in groups
    ]


def _span(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _names(group: Sequence[Mapping[str, Any]]) -> str:
    """Return the names of a group, one per line.

    >>> _names([{"policy": name} for name in ("a", "b", "c", "d", "e")]).splitlines()
    ['a', 'b', 'c', 'and 2 more']
    """
    names = [str(point["policy"])[:_NAME] for point in group]
    more = [f"and {len(names) - _NAMES} more"] if len(names) > _NAMES else []
    return "\n".join([*names[:_NAMES], *more])
