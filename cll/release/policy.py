"""Step: decide whether a candidate may be released, and tell a reviewer what is, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cll.model.ledger_entries import NONE, LedgerEntry, find, in_force
from cll.types.errors import ConfigError, Rejected, Undecided

BY_THE_GATE = "The gate promotes it."
_SUBJECT = 60
Mode = Literal["auto", "branch", "never"]
_FIGURES = ("floor", "ceiling", "beats", "slice", "leak.champion", "evidence")


@dataclass(frozen=True)
class ReleaseSettings:
    """What becomes of a tick's result."""

    mode: Mode = "never"
    push: bool = False


def refuse_unfit(
    verdict: Mapping[str, Any], candidate: str, entries: Sequence[LedgerEntry], world_champion: str
) -> None:
    """Refuse what the gate did not promote, or not on this candidate against this champion."""
    if verdict["model_id"] != candidate:
        raise ConfigError(
            f"reports/verdict.json is on {verdict['model_id']}, models/candidate is {candidate};"
            " run `dvc repro`."
        )
    now = in_force(entries)
    if entries and now not in {verdict["champion"], candidate}:
        way = "" if world_champion == now else " once world.yaml names it"
        raise ConfigError(
            f"The verdict is against champion {verdict['champion']}, and in force is {now}; run"
            f" `dvc repro`{way}."
        )
    if verdict["answer"] == "reject":
        raise Rejected(f"{candidate}: rejected by the gate: {_because(verdict, 'failed')}")
    if verdict["answer"] != "promote":
        raise Undecided(
            f"{candidate}: not enough evidence: {_because(verdict, 'not enough evidence')}"
        )
    before = find(entries, candidate)
    if before and now != candidate:
        raise ConfigError(
            f"{candidate} is {before.version} already; put it in force again by"
            f" `cll rollback {before.version} --why ...`."
        )


def _because(verdict: Mapping[str, Any], outcome: str) -> str:
    """Return the first rule's sentence with this outcome."""
    found = [str(rule["says"]) for rule in verdict["rules"] if rule["outcome"] == outcome]
    return found[0] if found else "no rule says why; run `dvc repro`."


def message(
    entry: LedgerEntry, entries: Sequence[LedgerEntry], verdict: Mapping[str, Any] | None
) -> str:
    """Write the commit's message; `entries` are those before `entry`."""
    what = "Release" if entry.kind == "release" else "Roll back to"
    subject = f"{what} {entry.version}: model {entry.model_id}"[:_SUBJECT]
    replaced = find(entries, entry.champion_before)
    before = str(replaced) if replaced else entry.champion_before
    lines = [subject, "", f"Why: {entry.why}"]
    if before == NONE:
        lines.append("It is the first: no model was in force.")
    else:
        lines.append(f"It replaces {before}, from the next tick on.")
    lines.append(f"As of {entry.as_of}. Verdict: {entry.verdict.answer}, {entry.verdict.sha256}.")
    rules = verdict["rules"] if verdict else []
    told = [rule for rule in rules if rule["name"].startswith(_FIGURES)]
    noted = [rule for rule in rules if rule["outcome"] == "noted" and rule not in told]
    if told:
        lines += ["", "What the gate found:", *(f"- {rule['says']}" for rule in told)]
    if noted:
        lines += ["", "Noted:", *(f"- {rule['says']}" for rule in noted)]
    return "\n".join(lines) + "\n"
