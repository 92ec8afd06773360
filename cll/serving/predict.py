"""Step: score rows with a released model, using the features that it was trained on."""

import numpy as np
import polars as pl

from cll.model.artifact import Predictor
from cll.types.errors import DataRefused

LISTED = 8  # names in an error, so that it stays one line


def predict(predictor: Predictor, features: pl.DataFrame) -> pl.DataFrame:
    """Return entity, time, probability and alert of each row of `features`, in its order."""
    lacking = [c for c in ("entity", "time", *predictor.names) if c not in features.columns]
    if lacking:
        raise DataRefused(
            f"The features lack {_listed(lacking)}, which model {predictor.model_id} reads; they"
            f" have: {_listed(features.columns)}. Use the features choice it was trained with."
        )
    wanted = features.select(predictor.names)
    odd = [f"{c} ({kind})" for c, kind in wanted.schema.items() if not kind.is_numeric()]
    if odd:
        raise DataRefused(
            f"Model {predictor.model_id} reads numbers, and these features are none:"
            f" {_listed(odd)}. Map them as numeric columns."
        )
    X = wanted.cast(pl.Float32).fill_null(np.nan).to_numpy()
    probability = predictor.probability(X)
    return features.select("entity", "time").with_columns(
        probability=pl.Series(probability), alert=pl.Series(predictor.alert(probability))
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
