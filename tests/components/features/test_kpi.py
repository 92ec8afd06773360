from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cll.components.features.kpi import Kpi
from cll.types.errors import ConfigError
from cll.types.tables import INCIDENTS

SIGNALS = pl.DataFrame(
    {
        "entity": ["a", "a"],
        "time": [datetime(2026, 1, 1, tzinfo=UTC)] * 2,
        "cpu": [0.5, None],
        "memory": [1.0, 2.0],
    }
)
NO_INCIDENTS = pl.DataFrame(schema=INCIDENTS)


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"features.columns=disk: no such column; there are: cpu"):
        Kpi(("disk",))(SIGNALS, ("cpu",), NO_INCIDENTS)


def test_raw_columns_come_as_float32_with_nan_for_missing():
    features = Kpi()(SIGNALS, ("cpu", "memory"), NO_INCIDENTS)
    assert features.columns == ["entity", "time", "cpu", "memory"]
    assert features.schema["cpu"] == pl.Float32
    assert features["cpu"].is_nan().to_list() == [False, True]


def test_named_columns_come_in_their_order():
    assert Kpi(("memory", "cpu"))(SIGNALS, ("cpu", "memory"), NO_INCIDENTS).columns[2:] == [
        "memory",
        "cpu",
    ]


def test_it_looks_back_at_nothing_and_at_no_incident():
    assert Kpi().lookback == timedelta(0)
    assert not Kpi().reads_incidents
