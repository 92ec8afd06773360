"""A chart of quality against cost, as a standalone SVG: one point a policy, named beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert

_WIDTH, _HEIGHT = 640, 380
_NAME = 40  # characters of a policy's that are shown


def draw(points: Sequence[Mapping[str, Any]], metric: str) -> str:
    """Draw `points` (x: seconds, y: the metric, policy: its name)."""
    values = [{**point, "policy": str(point["policy"])[:_NAME]} for point in points]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("x:Q", title="CPU seconds to train and judge", scale=alt.Scale(zero=True)),
        y=alt.Y("y:Q", title=metric, scale=alt.Scale(zero=False, padding=20)),
    )
    dots = base.mark_circle(size=90, color="#1d5fd1", opacity=0.9)
    names = base.mark_text(align="left", dx=9, dy=-7, fontSize=12, color="#4a5565")
    chart = alt.layer(dots, names.encode(text="policy:N")).properties(width=_WIDTH, height=_HEIGHT)
    spec = chart.configure(background="white", font="Liberation Sans").to_dict(validate=False)
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return vl_convert.vegalite_to_svg(spec, vl_version=version)
