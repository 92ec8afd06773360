"""Step: ask every trigger whether to train now, and collect their reasons."""

from collections.abc import Mapping
from dataclasses import replace

from cll.types.components import Trigger
from cll.types.triggers import Reason, Situation, TriggerDecision

_FIRST = Reason("first", fires=True, value=None, bound=None, says="Nothing was trained yet.")


def ask(triggers: Mapping[str, Trigger], situation: Situation) -> TriggerDecision:
    """Return the reasons of all rules; the answer fires if at least one rule fires.

    A rule is named by its trigger and its own name, like `data.rows`. If nothing was trained by
    `as_of`, the answer fires for that reason alone and no trigger is asked.
    """
    if situation.trained is None or situation.trained > situation.as_of:
        return TriggerDecision(fires=True, reasons=(_FIRST,))
    reasons = tuple(
        replace(reason, name=_qualified(name, reason.name))
        for name, trigger in triggers.items()
        for reason in trigger(situation)
    )
    return TriggerDecision(any(reason.fires for reason in reasons), reasons)


def _qualified(trigger: str, rule: str) -> str:
    return trigger if rule == trigger else f"{trigger}.{rule}"
