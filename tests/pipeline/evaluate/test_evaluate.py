import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from cll.components.metric import standard
from cll.config.components import build, load_yaml
from cll.pipeline.evaluate.evaluate import EvaluateSettings, Inputs, evaluate, prepare
from cll.pipeline.evaluate.statistics.bootstrap import interval
from cll.types.errors import ConfigError, DataRefused
from cll.types.tables import INCIDENTS, INSTANT

METRICS = {
    name: getattr(standard, name)
    for name in (
        "accuracy",
        "balanced_accuracy",
        "roc_auc",
        "average_precision",
        "brier",
        "log_loss",
        "calibration_error",
        "precision",
        "recall",
        "f1",
        "kappa_temporal",
    )
}
START = datetime(2026, 1, 1, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
FEW = EvaluateSettings(replicates=40)
THRESHOLDS = {"candidate": 0.5}
BOTH = {"candidate": 0.5, "champion": 0.4}


def fleet(entities=6, days=6, step=30, seed=4):
    """Rows of a small fleet: an incident a day each, foretold by `cpu` for half an hour."""
    rng = np.random.default_rng(seed)
    rows, incidents = [], []
    for e in range(entities):
        for d in range(days):
            begin = START + timedelta(days=d, hours=int(rng.integers(2, 20)))
            kind = ["leak", "spike"][(e + d) % 2]
            incidents.append((f"pod-{e}", begin, begin + HALF_HOUR, begin + HALF_HOUR, kind))
            for m in range(0, 1440, step):
                time = START + timedelta(days=d, minutes=m)
                ahead = timedelta(0) < begin - time <= HALF_HOUR
                chance = float(rng.beta(2, 2) if ahead else rng.beta(1, 8))
                rows.append(
                    (
                        f"pod-{e}",
                        time,
                        time + HALF_HOUR,
                        int(ahead),
                        len(incidents) - 1 if ahead else None,
                        kind if ahead else None,
                        chance,
                    )
                )
    names = ["entity", "time", "known_at", "label", "incident", "kind", "chance"]
    types = [pl.String, INSTANT, INSTANT, pl.Int8, pl.Int32, pl.String, pl.Float64]
    frame = pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")
    held = pl.col("time") >= START + timedelta(days=days // 2)
    frame = frame.with_columns(
        cpu=pl.col("chance") * 100,
        part=pl.when(held).then(pl.lit("holdout")).otherwise(pl.lit("train")),
        p_candidate=pl.when(held).then(pl.col("chance")),
        p_champion=pl.when(held).then(pl.col("chance") * 0.5 + rng.random(frame.height) * 0.5),
    )
    return Inputs(
        frame, pl.DataFrame(incidents, schema=INCIDENTS, orient="row"), ["cpu"], HALF_HOUR
    )


def changed(evidence, *columns):
    rows = evidence.rows.with_columns(*columns)
    return Inputs(rows, evidence.incidents, evidence.columns, evidence.horizon)


def judge(evidence, thresholds=THRESHOLDS, settings=FEW):
    return evaluate(evidence, thresholds, prepare(evidence, METRICS, settings))


def leaves(tree):
    for value in tree.values():
        if isinstance(value, dict):
            yield from leaves(value)
        else:
            yield value


def test_an_empty_holdout_is_refused():
    with pytest.raises(DataRefused, match=r"None of the 1728 labelled rows is held out"):
        judge(changed(fleet(), pl.lit("train").alias("part")))


def test_scores_that_are_no_probability_are_refused():
    broken = pl.when(pl.col("entity") == "pod-1").then(float("nan")).otherwise(pl.col("chance"))
    with pytest.raises(DataRefused, match=r"p_candidate is not within 0 and 1 on 144 held-out"):
        judge(changed(fleet(), broken.alias("p_candidate")))
    with pytest.raises(DataRefused, match=r"p_candidate is not within 0 and 1 on 864 held-out"):
        judge(changed(fleet(), pl.lit(None, pl.Float64).alias("p_candidate")))


def test_a_metric_that_is_not_chosen_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"evaluate.slice_metrics=auc: not a metric .* accuracy"):
        judge(fleet(), settings=EvaluateSettings(slice_metrics=("auc",)))


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match=r"evaluate.block=0: a block spans some time"):
        EvaluateSettings(block=timedelta(0))
    with pytest.raises(ConfigError, match=r"evaluate.paired=brier: name them in baseline_metrics"):
        EvaluateSettings(paired=("brier",))


def test_a_holdout_of_one_class_has_the_figures_that_are_defined():
    quiet = fleet().rows.with_columns(
        label=pl.when(pl.col("part") == "holdout").then(pl.lit(0, pl.Int8)).otherwise("label"),
        incident=pl.lit(None, pl.Int32),
        kind=pl.lit(None, pl.String),
    )
    found = judge(Inputs(quiet, fleet().incidents, ["cpu"], HALF_HOUR))
    assert found.positive_blocks == 0
    assert "roc_auc" not in found.metrics["candidate"]
    assert "events" not in found.metrics
    assert "slices" not in found.metrics
    assert found.metrics["candidate"]["accuracy"]["value"] > 0
    assert found.curves["roc"].is_empty()


def test_every_figure_is_a_number_or_a_text_that_dvc_can_flatten():
    found = judge(fleet(), BOTH).metrics
    assert all(type(value) in {int, float, str} for value in leaves(found))
    assert all(math.isfinite(v) and round(v, 6) == v for v in leaves(found) if type(v) is float)
    assert "null" not in json.dumps(found, allow_nan=False)


def test_the_same_seed_gives_the_same_figures_and_another_other_intervals():
    drawn = (EvaluateSettings(replicates=40, draws_seed=seed) for seed in (1, 1, 2))
    first, again, other = (judge(fleet(), settings=settings).metrics for settings in drawn)
    assert first == again
    assert first["candidate"]["roc_auc"]["value"] == other["candidate"]["roc_auc"]["value"]
    assert first["candidate"]["roc_auc"]["low"] != other["candidate"]["roc_auc"]["low"]


def test_the_candidates_figures_are_those_of_the_held_out_rows():
    found = judge(fleet()).metrics["candidate"]
    held = fleet().rows.filter(pl.col("part") == "holdout")
    y, p = held["label"].to_numpy(), held["p_candidate"].to_numpy()
    assert found["roc_auc"]["value"] == pytest.approx(roc_auc_score(y, p), abs=1e-6)
    assert found["accuracy"]["value"] == pytest.approx(accuracy_score(y, p >= 0.5), abs=1e-6)
    assert found["roc_auc"]["low"] < found["roc_auc"]["value"] < found["roc_auc"]["high"]
    assert list(found) == list(METRICS)


def test_the_champion_is_judged_at_its_own_threshold_and_the_difference_is_paired():
    found = judge(fleet(), BOTH).metrics
    candidate, champion, gain = (
        found[n]["roc_auc"] for n in ("candidate", "champion", "difference")
    )
    assert gain["value"] == pytest.approx(candidate["value"] - champion["value"], abs=2e-6)
    unpaired = candidate["high"] - champion["low"] - (candidate["low"] - champion["high"])
    assert gain["high"] - gain["low"] < unpaired
    assert found["champion"]["recall"] != found["candidate"]["recall"]


def test_two_models_judged_apart_have_the_paired_difference_in_their_draws():
    evidence = fleet()
    both = judge(evidence, BOTH)
    champion = changed(evidence, pl.col("p_champion").alias("p_candidate"))
    alone = judge(champion, {"candidate": BOTH["champion"]})
    assert alone.metrics["data"]["holdout_id"] == both.metrics["data"]["holdout_id"]
    assert both.draws.height == FEW.replicates
    gain = (both.draws["roc_auc"] - alone.draws["roc_auc"]).to_numpy()
    paired = both.metrics["difference"]["roc_auc"]
    assert interval(gain, both.positive_blocks) == pytest.approx(
        (paired["low"], paired["high"]), abs=2e-6
    )


def test_a_champion_with_the_same_answers_differs_by_nothing():
    found = judge(
        changed(fleet(), pl.col("p_candidate").alias("p_champion")),
        {"candidate": 0.5, "champion": 0.5},
    ).metrics
    assert set(leaves(found["difference"])) == {0.0}


def test_in_each_slice_candidate_and_champion_are_compared_in_the_same_draws():
    settings = replace(FEW, min_slice_positives=1)
    found = judge(fleet(), BOTH, settings).metrics
    names = set(found["slices"])
    assert names == set(found["champion_slices"]) == set(found["slice_difference"])
    assert {"entity=pod-0", "kind=leak"} <= names
    for name in names:
        own, other = found["slices"][name], found["champion_slices"][name]
        gain = found["slice_difference"][name]["roc_auc"]
        assert own["positives"] == other["positives"]
        assert gain["value"] == pytest.approx(own["roc_auc"] - other["roc_auc"], abs=2e-6)
        assert gain["low"] <= gain["value"] <= gain["high"]


def test_the_slice_of_all_rows_is_compared_as_the_whole_is():
    evidence = changed(fleet(entities=1), pl.lit("web").alias("group"))
    found = judge(evidence, BOTH, replace(FEW, min_slice_positives=1)).metrics
    assert found["slice_difference"]["group=web"]["roc_auc"] == found["difference"]["roc_auc"]


def test_held_out_rows_that_the_champion_knew_of_are_counted():
    evidence = fleet(entities=1)
    begins = evidence.rows.filter(pl.col("part") == "holdout")["time"].min()
    told = judge(replace(evidence, champion_saw=begins + HALF_HOUR), BOTH).metrics["leakage"]
    assert told["champion_rows"] == 2
    assert told["champion_saw_until"] == "2026-01-04T00:30:00Z"
    before = replace(evidence, champion_saw=begins - timedelta.resolution)
    assert judge(before, BOTH).metrics["leakage"]["champion_rows"] == 0
    assert "champion_rows" not in judge(evidence, BOTH).metrics["leakage"]


def test_without_a_champion_there_is_no_difference():
    found = judge(fleet()).metrics
    lacks = {"champion", "difference", "champion_slices", "slice_difference"}
    assert not lacks & set(found)


def test_baselines_learn_from_the_training_rows_alone():
    before = judge(fleet()).metrics["baseline"]
    held = pl.col("part") == "holdout"
    # Were the held-out rows looked at, the turned column would be read the other way.
    turned = pl.when(held).then(100 - pl.col("cpu")).otherwise("cpu").alias("cpu")
    after = judge(changed(fleet(), turned)).metrics["baseline"]
    assert before["one_column"]["roc_auc"] > 0.8
    assert after["one_column"]["roc_auc"] == pytest.approx(1 - before["one_column"]["roc_auc"])


def test_the_baselines_have_the_usual_figures_and_the_candidates_gain_over_each():
    found = judge(fleet()).metrics
    assert list(found["baseline"]) == ["prior", "no_change", "one_column"]
    assert found["baseline"]["prior"]["roc_auc"] == 0.5
    assert "precision" not in found["baseline"]["prior"]
    gain = found["over"]["no_change"]["roc_auc"]
    expected = found["candidate"]["roc_auc"]["value"] - found["baseline"]["no_change"]["roc_auc"]
    assert gain["value"] == pytest.approx(expected, abs=2e-6)
    assert gain["low"] < gain["value"] < gain["high"]


def test_no_change_in_the_holdout_knows_labels_of_the_training_rows():
    late = judge(changed(fleet(), (pl.col("known_at") + timedelta(days=60)).alias("known_at")))
    assert "kappa_temporal" not in late.metrics["candidate"]
    assert "kappa_temporal" in judge(fleet()).metrics["candidate"]


def test_bayes_is_the_true_probability_and_the_gap_what_is_left_to_learn():
    found = judge(fleet()).metrics
    assert found["bayes"]["roc_auc"] == found["candidate"]["roc_auc"]["value"]
    assert found["gap"] == {"roc_auc": 0, "accuracy": 0}


def test_there_is_no_bayes_where_one_chance_is_not_known():
    last = pl.col("time") == pl.col("time").max()
    unknown = pl.when(last).then(None).otherwise("chance").alias("chance")
    assert not {"bayes", "gap"} & set(judge(changed(fleet(), unknown)).metrics)


def test_events_and_slices_are_those_of_the_candidate():
    found = judge(fleet()).metrics
    assert found["events"]["incidents"] == 18
    assert found["events"]["lead_minutes_median"] == 30
    sure = EvaluateSettings(replicates=20, min_slice_positives=5)
    names = list(judge(fleet(), settings=sure).metrics["slices"])
    assert names == ["kind=leak", "kind=spike"]
    few = EvaluateSettings(replicates=20, min_slice_positives=1, max_slices=2)
    assert len(judge(fleet(), settings=few).metrics["slices"]) == 4


def test_a_slice_tells_how_many_positives_its_figures_rest_on():
    held = fleet().rows.filter((pl.col("part") == "holdout") & (pl.col("label") == 1))
    sure = EvaluateSettings(replicates=20, min_slice_positives=1)
    found = judge(fleet(), settings=sure).metrics["slices"]
    for name in ("kind=leak", "entity=pod-1"):
        column, value = name.split("=")
        assert found[name]["positives"] == held.filter(pl.col(column) == value).height
        assert list(found[name]) == ["positives", "roc_auc", "average_precision"]


def test_data_tells_rows_positives_and_spans():
    found = judge(fleet())
    told = {name: value for name, value in found.metrics["data"].items() if name != "holdout_id"}
    assert told == {
        "entities": 6,
        "rows": 1728,
        "positives": 36,
        "train_rows": 864,
        "train_positives": 18,
        "train_from": "2026-01-01T00:00:00Z",
        "train_until": "2026-01-03T23:30:00Z",
        "holdout_rows": 864,
        "holdout_positives": 18,
        "holdout_from": "2026-01-04T00:00:00Z",
        "holdout_until": "2026-01-06T23:30:00Z",
        "embargoed": 0,
        "blocks": 72,
        "positive_blocks": 18,
    }
    assert found.positive_blocks == 18


def test_rows_on_neither_side_of_the_split_are_counted_as_embargoed():
    gap = pl.col("time").is_between(START + timedelta(days=2), START + timedelta(days=3, hours=6))
    part = pl.when(gap).then(pl.lit("other")).otherwise("part").alias("part")
    data = judge(changed(fleet(), part)).metrics["data"]
    assert data["embargoed"] == fleet().rows.filter(gap).height > 0
    assert data["rows"] == data["train_rows"] + data["holdout_rows"] + data["embargoed"]


def test_signs_of_a_leak_are_gathered_for_the_gate():
    evidence = fleet()
    assert judge(evidence).metrics["leakage"]["shared_rows"] == 0
    assert judge(evidence).metrics["leakage"]["late_train_rows"] == 0
    again = evidence.rows.filter(pl.col("part") == "holdout").head(3)
    rows = pl.concat([evidence.rows, again.with_columns(part=pl.lit("train"))])
    leaky = rows.sort("entity", "time").with_columns(
        cpu=pl.col("label").cast(pl.Float64)  # the answer itself
    )
    found = judge(Inputs(leaky, evidence.incidents, ["cpu"], HALF_HOUR)).metrics["leakage"]
    assert found == {
        "shared_rows": 3,
        "late_train_rows": 3,
        "best_column": "cpu",
        "best_column_auc": 1.0,
    }


def test_without_raw_columns_there_is_neither_one_column_nor_a_suspect():
    bare = Inputs(fleet().rows, fleet().incidents, [], HALF_HOUR)
    found = judge(bare).metrics
    assert list(found["baseline"]) == ["prior", "no_change"]
    assert found["leakage"] == {"shared_rows": 0, "late_train_rows": 0}


def test_the_curves_are_for_plots_and_thinned():
    few = EvaluateSettings(replicates=20, curve_points=10, score_points=150)
    found = judge(fleet(), settings=few).curves
    assert list(found) == ["roc", "pr", "calibration", "scores"]
    assert found["roc"].columns == ["fpr", "tpr"]
    assert found["pr"].columns == ["recall", "precision"]
    assert found["calibration"].columns == ["mean_probability", "observed", "rows"]
    assert found["scores"].columns == ["entity", "time", "label", "incident", "kind", "probability"]
    assert [found[name].height for name in ("roc", "pr", "scores")] == [11, 10, 144]


def test_the_yaml_says_what_runs_by_default():
    path = Path(__file__).parents[3] / "conf" / "evaluate" / "default.yaml"
    assert build("evaluate", load_yaml(path)) == EvaluateSettings()
