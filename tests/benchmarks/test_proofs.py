import importlib
from dataclasses import dataclass, replace

import pytest

from cll.components.trigger.drift import Drift
from tests.conftest import ROOT
from tests.run.benchmarks import run


@pytest.fixture
def proofs(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("proofs")


@dataclass(frozen=True)
class Boasting:
    """States a hundredth of the rate that another trigger states."""

    trigger: Drift

    def __call__(self, situation):
        told = self.trigger(situation)
        return [replace(one, false_alarms=(one.false_alarms or 0) / 100) for one in told]


def test_a_rate_is_refuted_by_streams_and_not_by_the_ticks_of_one(proofs):
    assert not proofs.holds([0.2, 0.3, 0.25, 0.2, 0.3, 0.2], 0.05)
    assert proofs.holds([1.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.05)
    assert proofs.holds([0.0] * 6, 0.0)
    assert not proofs.holds([0.1] * 6, 0.05)


def test_the_lower_bound_is_below_the_truth_in_99_of_100_tries(proofs):
    rng = proofs.np.random.default_rng(0)
    tries = rng.binomial(32, rng.beta(0.5, 9.5, (2000, 50))) / 32  # streams that are not alike
    above = proofs.np.mean([proofs.lower_bound(shares) > 0.05 for shares in tries])
    assert above <= 0.01


@pytest.mark.slow
def test_a_trigger_that_states_too_low_a_rate_is_caught(proofs):
    honest = Drift(false_discoveries=0.3, at_least=1, of_last=1)
    found = []
    for seed in range(8):
        stream = proofs.simulate(seed, None)
        situations = [stream.at(day) for day in range(proofs.ASKED, proofs.DAYS + 1, 2)]
        told = {"honest": honest, "boasting": Boasting(honest)}
        found.append({name: proofs.ask(trigger, situations) for name, trigger in told.items()})
    judged = {name: proofs.judge(found, found, name) for name in ("honest", "boasting")}
    assert judged["honest"]["observed"] == judged["boasting"]["observed"] > 0.1
    assert judged["honest"]["holds"]
    assert not judged["boasting"]["holds"]


@pytest.mark.slow
def test_all_rules_and_peers_are_told(tmp_path):
    written = tmp_path / "proofs.md"
    found = run("proofs", tmp_path, "--seeds", "4", "--table", written)
    assert found["rules"]["drift"]["detected"] == 1.0
    assert found["rules"]["decay"]["stated"] == pytest.approx(0.01165, abs=1e-5)
    peers = {"ADWIN of errors", "DDM of errors", "Page-Hinkley of errors"}
    assert peers <= set(found["rules"])
    assert all(f"| {name} |" in written.read_text() for name in found["rules"])
