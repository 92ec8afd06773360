from datetime import timedelta

import numpy as np
import pytest

from cll.pipeline.train.calibrate import BaseCalibration, ScoredRows, calibrate
from tests.pipeline.train.test_fit import fleet

BLOCK = timedelta(hours=1)
BEFORE = BaseCalibration(1.7, -0.3, 0.4, calibrated=True)
ROWS, KEYS = fleet(4000)
MARGIN = 2.0 * ROWS.X[:, 0].astype(np.float64)


def found(margin=MARGIN, *, held_out=True, needed=20, kind="platt", before=BEFORE):
    return calibrate(ScoredRows(margin, ROWS.y, KEYS, held_out), kind, needed, BLOCK, before)


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ({"needed": 4000}, "positive blocks, where 4000 are needed."),
        ({"held_out": False}, "no stretch of time with both outcomes could be held out."),
        ({"margin": -MARGIN}, "where held out, a higher score does not fail more often."),
    ],
)
def test_without_evidence_a_fit_that_goes_on_is_trusted_as_its_base_was(case, why):
    kept = found(**case)
    assert (kept.kind, kept.slope, kept.intercept, kept.calibrated) == ("kept", 1.7, -0.3, True)
    assert kept.explanation.startswith(
        "Calibration and threshold are those of the model that it goes on"
    )
    assert kept.explanation.endswith(why)


def test_a_base_that_was_not_calibrated_makes_nothing_calibrated():
    assert not found(
        needed=4000, before=BaseCalibration(1.0, -0.2, 0.4, calibrated=False)
    ).calibrated


def test_with_evidence_a_fit_that_goes_on_is_calibrated_anew():
    assert found() == found(before=None)
    assert found().kind == "platt"


def test_calibration_that_is_switched_off_is_not_the_bases_either():
    assert (found(kind="none").slope, found(kind="none").intercept) == (1.0, 0.0)
