"""Verdicts of the gate, and records of where a model or a release comes from."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Rule:
    """One rule of the gate; `outcome` states whether `value` keeps to `bound`."""

    name: str
    value: float | str | None
    bound: float | str | None
    outcome: Literal["passed", "failed", "not enough evidence", "noted"]
    says: str  # one sentence for a person


@dataclass(frozen=True)
class Verdict:
    """The gate's decision on one candidate."""

    answer: Literal["promote", "reject", "not enough evidence"]
    model_id: str
    champion: str  # model_id; "none" where there is no champion
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Released:
    """A release as it is passed to a mirror of the ledger."""

    version: str
    commit: str  # commit that added the release's entry to the ledger
    says: str


@dataclass(frozen=True)
class Lineage:
    """Origin of a model. All of it is reproducible: no clock, host or git revision."""

    config: dict[str, Any]
    data_sha256: str
    train_from: str  # first and last instant of its training data, with those of its base
    train_until: str
    rows: int  # number of training rows, without those of the base
    positives: int
    libraries: dict[str, str]
    notes: dict[str, Any] = field(default_factory=dict)
    base: str = "none"  # model_id of the model that it continues
    base_rows: int = 0  # training rows of all earlier trainings, back to the one from scratch
