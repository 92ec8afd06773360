"""Choose among several updates by their results on the newest training rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Interval

from cll.pipeline.evaluate.statistics.bootstrap import interval
from cll.types.errors import config_error
from cll.types.updates import Contender


@dataclass(frozen=True)
class Race:
    """The best update wins, or the cheapest one that is not worse than the best by more than noise.

    `settings` has the settings of each update by its name, whether it is a contender or not.
    """

    settings: dict[str, dict[str, Any]]
    contenders: tuple[str, ...] = ("full", "warm", "online")
    share: Annotated[float, Interval(gt=0, lt=1)] = 0.5
    prefer: Literal["best", "cheapest"] = "best"

    def __post_init__(self) -> None:
        if not self.contenders:
            raise config_error("update.contenders", "[]", "no update would run; name at least one.")
        for name in self.contenders:
            if name not in self.settings:
                way_out = f"no such update; there are: {', '.join(self.settings)}."
                raise config_error("update.contenders", name, way_out)
            if self.settings[name].get("_target_") == f"{__name__}.Race":
                way_out = "a race can't be a contender; name another update."
                raise config_error("update.contenders", name, way_out)

    @property
    def reads_champion(self) -> bool:
        return True

    @property
    def rule(self) -> str:
        if self.prefer == "best":
            return "it had the best figure"
        return "the cheapest that did not surely lose to the best"

    def __call__(self, entries: Sequence[Contender]) -> str:
        by_cost = sorted(entries, key=lambda entry: entry.row_visits)
        best = max(by_cost, key=lambda entry: entry.value)  # the cheapest of equally good entries
        if self.prefer == "cheapest":
            for entry in by_cost:
                lost = interval(best.draws - entry.draws, best.evidence)
                if entry is best or (lost is not None and lost[0] <= 0):
                    return entry.name
        return best.name
