from datetime import timedelta

import pytest

from cll.config import components
from cll.model import artifact
from cll.pipeline.dataset import labelled, point_in_time, tables
from cll.replay import fit_cache, replay, tick_grid
from cll.replay.log import ReplayLog
from cll.system.content_cache import ContentCache
from cll.types.times import parse_instant
from tests.build import small
from tests.replay.test_replay import END, POLICY, decisions

NEVER = [*(word for word in POLICY if not word.startswith("trigger=")), "trigger=never"]
AT = parse_instant(END)


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    made = small.project(tmp_path_factory.mktemp("fits") / "project", END)
    small.reproduce(made, POLICY, last="featurize")
    return made


def tree_of(ws, words):
    return small.compose_into(ws, words)


def replayed(ws, words, folder, cache=None):
    tree = tree_of(ws, words)
    shared = fit_cache.shared_fitter(ws, tree, cache.get_or_make) if cache else None
    history = replay.History(tables.load(ws), tree, shared)
    first = history.data.signals["known_at"].min()
    ticks = tick_grid.between(first, AT, components.build("replay", tree["replay"]))
    log = ReplayLog(folder)
    return list(replay.run_ticks(history, ticks, log))


def test_equal_trainings_run_once_and_count_for_each_policy(ws, tmp_path):
    cache = ContentCache(tmp_path / "store")
    daily = replayed(ws, POLICY, tmp_path / "daily", cache)
    assert cache.reused == 0
    assert cache.made == sum(bool(record.candidate) for record in daily) > 1
    never = replayed(ws, NEVER, tmp_path / "never", cache)
    assert cache.reused == 1
    assert never[0].candidate == daily[0].candidate
    assert never[0].train_seconds > 0
    assert decisions(never) == decisions(replayed(ws, NEVER, tmp_path / "alone"))


def test_a_damaged_cache_entry_is_computed_again(ws, tmp_path):
    cache = ContentCache(tmp_path / "store")
    first = replayed(ws, NEVER, tmp_path / "first", cache)
    (made,) = (tmp_path / "store").glob("*/made")
    made.write_bytes(made.read_bytes()[:-1])
    assert decisions(replayed(ws, NEVER, tmp_path / "again", cache)) == decisions(first)
    assert (cache.made, cache.reused) == (2, 0)


@pytest.mark.parametrize(
    ("words", "shares"),
    [
        ([], True),
        (["trigger=daily", "gate.min_gain=0.5", "replay.every=6h"], True),
        (["seed=7"], False),
        (["train.folds=3"], False),
        (["split.holdout=0.3"], False),
        (["gate.metric=roc_auc"], False),  # by which a race is won
    ],
)
def test_the_inputs_of_a_training_are_its_cache_key(ws, words, shares):
    def key(tree):
        return fit_cache.shared_fitter(ws, tree, None).follows_from

    assert (key(tree_of(ws, [*NEVER, *words])) == key(tree_of(ws, NEVER))) is shares


def test_continued_trainings_are_shared_per_base_model(ws, tmp_path):
    tree, known = tree_of(ws, [*NEVER, "update=warm"]), tables.load(ws)
    cache = ContentCache(tmp_path / "store")
    fit = fit_cache.shared_fitter(ws, tree, cache.get_or_make)

    def fitted(at, champion):
        rows = labelled.build(point_in_time.at(known, at), tree, at)
        return artifact.unpack(fit(rows, at, champion)[0])

    one, other = fitted(AT - timedelta(days=3), None), fitted(AT - timedelta(days=2), None)
    ids = [fitted(AT, champion).model_id for champion in (one, other, one)]
    assert ids[0] == ids[2] != ids[1]
    assert (cache.made, cache.reused) == (4, 1)
