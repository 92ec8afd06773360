"""Application of the gate to a metrics tree and a model; used by the stage and by replays."""

from collections.abc import Mapping
from typing import Any

from cll.config import components
from cll.config.project import Tree
from cll.pipeline.gate import gate as step
from cll.types.directions import directions_in


def decide(
    metrics: Mapping[str, Any], model: Mapping[str, Any], tree: Tree, champion: str
) -> dict[str, Any]:
    """Return the verdict in the form of verdict.json; `model` is the candidate's model.json."""
    notes = model["train"]
    candidate = step.Candidate(
        model["model_id"], notes["calibrated"], model["importance"], {"calibration": notes["says"]}
    )
    settings = components.build("gate", tree["gate"])
    directions = directions_in(tree)
    return step.as_json(step.decide(metrics, directions, settings, candidate, champion))
