import json
from dataclasses import replace

import lightgbm
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cll.components.estimator.lightgbm import FILE, LightGBM, LightGBMModel, load
from cll.system.content_cache import ContentCache
from cll.types.arrays import Matrix
from cll.types.errors import DataRefused, Unavailable

SEED = 3
SMALL = LightGBM(max_rounds=40, patience=5, min_data_in_leaf=20)


def noisy(rows=3000, seed=1, columns=6):
    """Rows in which two columns decide together, some values missing."""
    chance = np.random.default_rng(seed)
    X = chance.normal(size=(rows, columns)).astype(np.float32)
    odds = 3 * X[:, 0] * X[:, 1] - 2
    X[chance.random(X.shape) < 0.05] = np.nan
    y = (chance.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)
    return Matrix(X, y, tuple(f"f{i}" for i in range(columns)))


@pytest.mark.parametrize("label", [0.0, 1.0, np.nan])
def test_rows_of_one_outcome_are_refused(label):
    rows = Matrix(np.zeros((4, 1), np.float32), np.full(4, label), ("f",))
    with pytest.raises(DataRefused, match=r"^The 4 training rows hold the labels \[.*widen"):
        SMALL(rows, SEED)


@pytest.mark.parametrize("weight", ["none", "sqrt", "balanced"])
def test_one_and_two_threads_give_the_same_bytes(weight):
    train, valid = noisy(20_000), noisy(4000, seed=2)
    estimator = LightGBM(max_rounds=30, patience=5, positive_weight=weight, members=2)
    texts = set()
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="openmp"):
            texts.add(estimator(train, SEED, valid).texts)
    assert len(texts) == 1
    assert "num_threads" not in "".join(texts.pop())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("members", [1, 2])
def test_bins_that_were_kept_give_the_bytes_of_bins_made_afresh(tmp_path, threads, members):
    train, valid = noisy(8000), noisy(2000, seed=2)
    estimator = replace(SMALL, members=members)
    made, found = ContentCache(tmp_path), ContentCache(tmp_path)
    with threadpool_limits(threads, user_api="openmp"):
        afresh = estimator(train, SEED, valid)
        kept = [
            estimator(
                replace(train, file_cache=cache.get_or_make),
                SEED,
                replace(valid, file_cache=cache.get_or_make),
            )
            for cache in (made, found)
        ]
    assert kept == [afresh, afresh]
    assert (made.made, made.reused) == (2, 0)
    assert (found.made, found.reused) == (0, 2)


def test_jobs_share_bins_unless_they_bin_otherwise(tmp_path):
    cache = ContentCache(tmp_path)
    train, valid = (
        replace(rows, file_cache=cache.get_or_make) for rows in (noisy(), noisy(1000, seed=2))
    )
    SMALL(train, SEED, valid)
    for change in (
        {"num_leaves": 7},
        {"learning_rate": 0.3},
        {"min_data_in_leaf": 5},
        {"lambda_l2": 1.0},
        {"feature_fraction": 0.9},
        {"bagging_fraction": 0.5},
        {"positive_weight": "balanced"},
        {"max_depth": 2},
    ):
        changed = replace(SMALL, **change)
        alone = changed(replace(train, file_cache=None), SEED + 1, replace(valid, file_cache=None))
        assert changed(train, SEED + 1, valid) == alone
    assert cache.made == 2
    for change in ({"max_bin": 15}, {"bin_construct_sample_cnt": 500}):
        replace(SMALL, **change)(train, SEED, valid)
    assert cache.made == 6


def test_held_out_rows_are_binned_as_the_rows_that_teach(tmp_path):
    cache = ContentCache(tmp_path)
    one, other, valid = (
        replace(noisy(seed=seed), file_cache=cache.get_or_make) for seed in (1, 2, 3)
    )
    SMALL(one, SEED, valid)
    SMALL(other, SEED, valid)
    assert cache.made == 4


def test_other_rows_labels_or_names_are_other_bins():
    rows = noisy()
    X, y = rows.X.copy(), rows.y.copy()
    X[7, 3], y[7] = 0.5, 1 - y[7]
    names = (*rows.names[1:], "other")
    others = [rows, replace(rows, X=X), replace(rows, y=y), replace(rows, names=names)]
    assert len({one.sha256 for one in others}) == 4
    assert replace(rows, X=np.asfortranarray(rows.X)).sha256 == rows.sha256


def test_a_disk_that_takes_no_bins_is_told_in_one_line(tmp_path, monkeypatch):
    def refuse(*_):
        raise lightgbm.basic.LightGBMError("Cannot write binary data to it")

    monkeypatch.setattr(lightgbm.Dataset, "save_binary", refuse)
    with pytest.raises(
        Unavailable, match="can't be written: Cannot write binary data to it; check"
    ):
        SMALL(replace(noisy(), file_cache=ContentCache(tmp_path).get_or_make), SEED)


def test_another_seed_gives_another_model():
    train = noisy()
    assert SMALL(train, SEED).texts != SMALL(train, SEED + 1).texts
    assert SMALL(train, SEED).texts == SMALL(train, SEED).texts


def test_members_answer_with_the_mean_of_their_log_odds():
    rows = noisy()
    model = replace(SMALL, members=3)(rows, SEED)
    alone = [LightGBMModel((text,), rows.names).margin(rows.X) for text in model.texts]
    assert len(set(model.texts)) == 3
    assert model.margin(rows.X) == pytest.approx(np.mean(alone, axis=0), abs=1e-12)
    shares = [list(LightGBMModel((text,), rows.names).importance.values()) for text in model.texts]
    assert list(model.importance.values()) == pytest.approx(np.mean(shares, axis=0), abs=0.01)


def test_the_first_member_is_the_model_that_would_stand_alone():
    train, valid = noisy(), noisy(seed=2)
    first, *others = replace(SMALL, members=3)(train, 0, valid).texts
    assert SMALL(train, 0, valid).texts == (first,)
    rounds = {LightGBMModel((text,), train.names).rounds for text in (first, *others)}
    assert len(rounds) == 1


def test_models_of_different_seeds_share_no_member():
    train = noisy()
    one, other = (replace(SMALL, members=2)(train, seed).texts for seed in (0, 1))
    assert not set(one) & set(other)


def test_training_stops_where_held_out_rows_gain_no_more():
    train, valid = noisy(400), noisy(400, seed=2)
    eager = LightGBM(learning_rate=0.5, max_rounds=300, patience=5, min_data_in_leaf=5)
    assert 1 <= eager(train, SEED, valid).rounds < 60


def test_given_rounds_are_run_in_full():
    assert SMALL(noisy(), SEED, rounds=7).rounds == 7


def test_rows_that_teach_nothing_give_a_model_of_the_share_alone():
    rows = Matrix(np.full((200, 2), np.nan, np.float32), np.array([0.0, 1.0] * 100), ("a", "b"))
    model = SMALL(rows, SEED)
    assert model.margin(rows.X) == pytest.approx(np.zeros(200), abs=1e-9)
    assert model.importance == {"a": 0.0, "b": 0.0}


def test_the_columns_that_decide_have_the_gain():
    model = SMALL(noisy(), SEED)
    assert sum(model.importance.values()) == pytest.approx(1.0, abs=1e-6)
    assert model.importance["f0"] + model.importance["f1"] > 0.6


def test_names_that_the_text_could_not_hold_are_kept():
    rows = noisy()
    odd = Matrix(rows.X, rows.y, ('a"b', "c:d", "[e]", "f, g", "h i", "ü"))
    model = SMALL(odd, SEED)
    assert tuple(model.importance) == odd.names


def test_a_heavier_positive_raises_the_log_odds():
    rows = noisy()
    plain, raised = (
        LightGBM(max_rounds=40, positive_weight=w)(rows, SEED).margin(rows.X).mean()
        for w in ("none", "balanced")
    )
    assert raised > plain + 0.3


@pytest.mark.parametrize(
    ("members", "names"), [(1, [FILE]), (2, ["model-0.txt", "model-1.txt"])], ids=["one", "two"]
)
def test_a_model_survives_its_parts(members, names):
    rows = noisy()
    model = replace(SMALL, members=members)(rows, SEED)
    parts, files = model.parts()
    assert list(files) == names
    again = load(json.loads(json.dumps(parts, sort_keys=True)), files)
    assert again == model
    assert again.margin(rows.X).tolist() == model.margin(rows.X).tolist()


def test_no_rows_score_to_no_margins():
    assert SMALL(noisy(), SEED).margin(np.zeros((0, 6), np.float32)).shape == (0,)


def test_another_number_of_members_is_refused():
    base = SMALL(noisy(), SEED)
    says = r"^The champion has 1 members, where estimator\.members=2: .*update=full once\.$"
    for go_on in (replace(SMALL, members=2).warm, replace(SMALL, members=2).step):
        with pytest.raises(DataRefused, match=says):
            go_on(base, noisy(seed=2), SEED)


def test_rows_of_one_outcome_are_refused_as_a_warm_start_too():
    rows = noisy()
    with pytest.raises(DataRefused, match="both 0 and 1 are needed"):
        SMALL.warm(SMALL(rows, SEED), replace(rows, y=np.zeros(3000)), SEED)


@pytest.mark.parametrize("members", [1, 2])
def test_a_warm_model_has_its_bases_trees_first_and_more_behind(members):
    estimator = replace(SMALL, members=members)
    base = estimator(noisy(), SEED, rounds=10)
    model = estimator.warm(base, noisy(seed=2), SEED, rounds=25)
    assert model.rounds == 25
    for own, before in zip(model.texts, base.texts, strict=True):
        assert trees(own)[:10] == trees(before)
        assert len(trees(own)) == 25
    rows = noisy(seed=3)
    again = load(*model.parts())
    assert again.margin(rows.X).tolist() == model.margin(rows.X).tolist()


def trees(text):
    """Split a text into its trees, without their numbers."""
    body = text.split("end of trees")[0].split("\nTree=")[1:]
    return [tree.partition("\n")[2].strip() for tree in body]


def test_a_warm_start_learns_what_its_base_could_not():
    rows, newer = noisy(), noisy(seed=2)
    base = SMALL(rows, SEED, rounds=3)
    model = SMALL.warm(base, newer, SEED, valid=noisy(seed=3))
    judged = noisy(seed=4)
    assert loss(model, judged) < loss(base, judged) - 0.02
    assert model.passes >= model.rounds - base.rounds > 0


def loss(model, rows):
    odds = model.margin(rows.X)
    return float(np.mean(np.logaddexp(0, odds) - rows.y * odds))


@pytest.mark.parametrize("go_on", ["warm", "step"])
def test_what_goes_on_has_the_same_bytes_with_one_and_two_threads(go_on):
    train, newer, valid = noisy(20_000), noisy(8000, seed=2), noisy(4000, seed=3)
    estimator = LightGBM(max_rounds=30, patience=5, members=2)
    texts = set()
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="openmp"):
            base = estimator(train, SEED, rounds=10)
            held = {"valid": valid} if go_on == "warm" else {}
            texts.add(getattr(estimator, go_on)(base, newer, SEED, **held).texts)
    assert len(texts) == 1


def test_rows_too_few_for_two_leaves_leave_the_trees_as_they_are():
    base = SMALL(noisy(), SEED)
    model = SMALL.step(base, noisy(30), SEED)
    assert [trees(text) for text in model.texts] == [trees(text) for text in base.texts]


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_step_on_one_outcome_moves_the_log_odds_towards_it(label):
    base, rows = SMALL(noisy(), SEED), noisy(seed=2)
    moved = SMALL.step(base, replace(rows, y=np.full(3000, label)), SEED).margin(rows.X)
    assert np.isfinite(moved).all()
    assert ((moved - base.margin(rows.X)).mean() > 0) == (label == 1)


def test_a_step_goes_on_from_what_was_written_as_from_what_was_not():
    base, rows = SMALL(noisy(), SEED), noisy(seed=2)
    assert SMALL.step(load(*base.parts()), rows, SEED) == SMALL.step(base, rows, SEED)
