import json
import re

import pytest

from cll.config.project import load_tree, load_world
from cll.loop import world
from cll.pipeline.dataset import labelled
from cll.pipeline.train import candidate
from cll.release import models
from tests.build import small


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A fleet's project whose candidate stands against a champion; nothing may change it."""
    ws = small.copied(small.fleet(tmp_path_factory), tmp_path_factory.mktemp("trial") / "project")
    tree, known = settled(ws, gate={"min_positive_blocks": 1}), load_world(ws)
    weaker = {**tree, "estimator": {**tree["estimator"], "C": 1e-4}}
    files = candidate.fit(labelled.load(ws, tree, known), weaker, known.as_of)
    champion = json.loads(files["model.json"])["model_id"]
    models.place(ws.root, files, champion)
    world.put(ws.root / "world.yaml", "champion", champion)
    return ws


def settled(ws, **groups):
    tree = json.loads(json.dumps(load_tree(ws)))
    for group, settings in groups.items():
        tree[group] |= settings
    ws.resolved.write_text(json.dumps(tree))  # which is YAML, too
    return tree


def with_settings(project, folder, **groups):
    ws = small.copied(project, folder)
    settled(ws, **groups)
    return ws


def test_without_a_champion_the_error_asks_for_a_model(tmp_path_factory):
    said = small.cll(small.fleet(tmp_path_factory).root, "verify", "gate")
    assert said.code == 2
    assert (
        "champion=none: there is no model to swap scores with; name a model's folder:" in said.err
    )


def test_a_candidate_is_not_swapped_with_itself(project):
    said = small.cll(project.root, "verify", "gate", "--against", "models/candidate")
    assert said.code == 2
    assert "are the same model" in said.err


def test_a_gate_metric_that_is_not_chosen_is_refused(project, tmp_path):
    ws = with_settings(project, tmp_path / "other", gate={"metric": "auc"})
    said = small.cll(ws.root, "verify", "gate")
    assert said.code == 2
    assert "gate.metric=auc: not one of the chosen metrics, which are: accuracy" in said.err


def test_too_few_rounds_are_refused(project):
    assert small.cll(project.root, "verify", "gate", "--aa", "5").code == 2


def test_a_gate_that_can_promote_nothing_is_not_tested(project, tmp_path):
    ws = with_settings(project, tmp_path / "other", gate={"min_positive_blocks": 1000})
    said = small.cll(ws.root, "verify", "gate")
    assert said.code == 11
    assert (
        "held-out blocks have a positive row; with fewer than 1000 (gate.min_positive_blocks)"
        in said.err
    )


@pytest.mark.slow
def test_a_gate_with_too_few_draws_for_its_level_fails(project, tmp_path):
    # Of 20 draws the outermost is the end of the interval: it is above 0 in 1 case of 21.
    ws = with_settings(project, tmp_path / "other", evaluate={"replicates": 20})
    said = small.cll(ws.root, "verify", "gate", "--json")
    found = json.loads(said.out)["swaps"]
    assert said.code == 1
    assert found["lower"] > found["stated"] == 0.025
    assert not found["holds"]
    assert "the gate FAILS" in small.cll(ws.root, "verify", "gate").out


@pytest.mark.slow
def test_the_gate_passes_and_the_output_is_reproducible(project):
    said = small.cll(project.root, "verify", "gate", "--aa", "100")
    assert said.code == 0, said.err
    first, _, last = said.out.splitlines()
    assert re.match(r"candidate [0-9a-f]{16} against [0-9a-f]{16} on [0-9,]+ held-out rows", first)
    assert re.search(r"stated: at most 2.50%; the gate passes \(it fails from 6.00% on\)", last)
    assert small.cll(project.root, "verify", "gate", "--aa", "100").out == said.out


def test_power_is_printed_for_this_holdout_and_larger_ones(project):
    said = small.cll(project.root, "verify", "gate", "--power", "--json")
    assert said.code == 0
    found = json.loads(said.out)
    assert "swaps" not in found
    gains = [row["gain"] for row in found["power"]]
    blocks = [row["blocks"] for row in found["power"]]
    assert blocks == [found["blocks"] * times for times in (1, 2, 4)]
    assert gains == sorted(gains, reverse=True)
    lines = small.cll(project.root, "verify", "gate", "--power").out.splitlines()
    assert lines[-1].split() == [
        f"{blocks[2]:,}",
        f"{found['power'][2]['positive_blocks']:,}",
        f"{gains[2]:.4f}",
    ]


def test_against_replaces_the_champion(project, tmp_path):
    ws = small.copied(project, tmp_path / "other")
    champion = load_world(ws).champion
    world.put(ws.root / "world.yaml", "champion", "none")
    folder = f"registry/models/{champion}"
    words = ("verify", "gate", "--power", "--json")
    said = small.cll(ws.root, *words, "--against", folder)
    assert json.loads(said.out)["champion"] == champion
    assert said.out == small.cll(project.root, *words).out
