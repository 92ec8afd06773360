"""A chart of quality against cost, as a standalone SVG: one point a policy, named beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert

_WIDTH, _HEIGHT = 640, 380  # pixels
_NAME, _NAMES = 40, 3  # characters of a policy's name, and names beside one place, that are shown
_BESIDE, _OVER = 0.15, 0.06  # shares of the chart within which names would cover one another


def draw(points: Sequence[Mapping[str, Any]], metric: str) -> str:
    """Draw `points` (x: seconds, y: the metric, policy: its name)."""
    room = alt.Scale(zero=True, domainMax=1.2 * max(float(point["x"]) for point in points))
    x = alt.X("x:Q", title="CPU seconds to train and judge", scale=room)
    y = alt.Y("y:Q", title=metric, scale=alt.Scale(zero=False, padding=20))
    dots = alt.Chart(alt.InlineData(values=[dict(point) for point in points])).encode(x=x, y=y)
    names = alt.Chart(alt.InlineData(values=_named(points))).encode(x=x, y=y, text="names:N")
    layers = (
        dots.mark_circle(size=90, color="#1d5fd1", opacity=0.8),
        names.mark_text(align="left", dx=9, dy=-9, fontSize=11, color="#4a5565", lineBreak="\n"),
    )
    chart = alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)
    spec = chart.configure(background="white", font="Liberation Sans").to_dict(validate=False)
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return vl_convert.vegalite_to_svg(spec, vl_version=version)


def _named(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Name points that lie close to one another together, at the last of them."""
    places: list[list[Mapping[str, Any]]] = []
    width, height = (_span([float(point[axis]) for point in points]) for axis in ("x", "y"))
    for point in sorted(points, key=lambda one: (one["x"], one["y"])):
        for near in places:
            last = near[-1]
            beside = point["x"] - last["x"] <= _BESIDE * width
            if beside and abs(point["y"] - last["y"]) <= _OVER * height:
                near.append(point)
                break
        else:
            places.append([point])
    return [
        {"x": max(p["x"] for p in near), "y": near[0]["y"], "names": _together(near)}
        for near in places
    ]


def _span(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _together(near: Sequence[Mapping[str, Any]]) -> str:
    """Write names line by line.

    >>> _together([{"policy": name} for name in ("a", "b", "c", "d", "e")]).splitlines()
    ['a', 'b', 'c', 'and 2 more']
    """
    names = [str(point["policy"])[:_NAME] for point in near]
    more = [f"and {len(names) - _NAMES} more"] if len(names) > _NAMES else []
    return "\n".join([*names[:_NAMES], *more])
