"""Verdicts of the gate, and what a model or release is said to come from."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Rule:
    """One rule of the gate: `outcome` is whether `value` respects `bound`."""

    name: str
    value: float | str | None
    bound: float | str | None
    outcome: Literal["passed", "failed", "not enough evidence", "noted"]
    says: str  # one sentence for a person


@dataclass(frozen=True)
class Verdict:
    """The gate's answer on one candidate."""

    answer: Literal["promote", "reject", "not enough evidence"]
    model_id: str
    champion: str  # "none" when there is no model in force
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Released:
    """A release as a mirror of the ledger shows it."""

    version: str
    commit: str  # which brought its entry
    says: str


@dataclass(frozen=True)
class Lineage:
    """Where a model comes from, all of it reproducible: no clock, host or git revision."""

    config: dict[str, Any]
    data_sha256: str
    train_from: str  # of all that it learnt from, also by way of its base
    train_until: str
    rows: int  # that this training was given
    positives: int
    libraries: dict[str, str]
    notes: dict[str, Any] = field(default_factory=dict)
    base: str = "none"  # model_id of the model that it goes on from
    base_rows: int = 0  # that the trainings before were given, back to the one that began afresh
