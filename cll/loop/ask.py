"""Step: ask every trigger whether to train now, and answer with all that they say."""

from collections.abc import Mapping
from dataclasses import replace

from cll.types.components import Trigger
from cll.types.triggers import Reason, Situation, TriggerDecision

_FIRST = Reason("first", fires=True, value=None, bound=None, says="Nothing was trained yet.")


def ask(triggers: Mapping[str, Trigger], situation: Situation) -> TriggerDecision:
    """Fire if any rule does; a rule is called by its trigger's name and its own: `data.rows`.

    Where nothing was trained by `as_of` that is reason enough, and no trigger is asked.
    """
    if situation.trained is None or situation.trained > situation.as_of:
        return TriggerDecision(fires=True, reasons=(_FIRST,))
    reasons = tuple(
        replace(reason, name=_called(name, reason.name))
        for name, trigger in triggers.items()
        for reason in trigger(situation)
    )
    return TriggerDecision(any(reason.fires for reason in reasons), reasons)


def _called(trigger: str, rule: str) -> str:
    return trigger if rule == trigger else f"{trigger}.{rule}"
