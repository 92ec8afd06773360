"""One turn of the loop: `as_of` moves forward, data come in, and triggers say whether to train."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cll import (
    conclusion,
    config,
    guard,
    ledger,
    news,
    overdue,
    progress,
    repro,
    review,
    sides,
    store,
    thought,
    world,
)
from cll.errors import CllError, ConfigError
from cll.news import Turned
from cll.release import Mode, Settings
from cll.situation import Answer
from cll.values import format_instant
from cll.workspace import Workspace, load_tree

ENDED = 128 + 15  # the exit code of a tick that SIGTERM ended
LAST = Path(".cll") / "tick.json"
_WORLD = "world.yaml"


@dataclass(frozen=True)
class Told:
    """What a tick has to say at its end."""

    review: review.Review
    lines: tuple[str, ...]


def tick(root: Path, as_of: datetime | None = None, mode: Mode | None = None) -> Told:
    """Move the world to `as_of`, or else to the last whole hour; return what that changed.

    The champion is from now on what the ledger says. Only a moment that is named moves the world
    back. Where a stage fails, or the tick is ended, world.yaml is as it was.
    """
    with guard.only_one(root), guard.ending(ENDED):
        now = config.load_world(root / _WORLD).as_of
        then = as_of or datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        if as_of is None and then < now:
            raise ConfigError(
                f"world.yaml: as_of={format_instant(now)} is later than now, "
                f"{format_instant(then)}; name the instant to move it back: cll tick --as-of."
            )
        try:
            found = _turn(Workspace(root), format_instant(now), format_instant(then), mode)
        except CllError as error:
            _note(root, then, error.exit_code, _refused(root) or str(error))
            raise
        _note(root, then, 0, " ".join(found.lines))
        return found


def settings(ws: Workspace, mode: Mode | None = None) -> Settings:
    """Return what is to become of a tick; `mode` goes before the config's."""
    node = load_tree(ws).get("release") if ws.resolved.is_file() else None
    found: Settings = config.build("release", node) if node else Settings()
    return replace(found, mode=mode) if mode else found


def _turn(ws: Workspace, now: str, then: str, mode: Mode | None) -> Told:
    root, chosen = ws.root, settings(ws, mode)
    with conclusion.place(root, chosen):
        before, days = sides.of_folder(root), news.data(ws)
        values = {"as_of": then}
        if ledger.read(root):  # else the champion is what a person wrote
            values["champion"] = ledger.champion(root)
        progress.note(f"tick: as_of {now} -> {then}")
        with world.moved(root / _WORLD, values, keep=lambda: ledger.pending(root)):
            answer, trained = _made(ws, now)
            if settings(ws, mode) != chosen:
                progress.say("tick: release: changed, which counts from the next tick on.")
                chosen = Settings()
            verdict = overdue.read_verdict(ws) if trained else None
            turned = Turned(now, then, answer, trained, verdict)
            lines = [
                *conclusion.conclude(root, chosen, turned, moved=news.moved(days, news.data(ws)))
            ]
            conclusion.training(root).unlink(missing_ok=True)
        lines += conclusion.share(root, chosen)
        return Told(review.between(root, before, f"as_of {now}"), tuple(lines))


def _made(ws: Workspace, now: str) -> tuple[Answer, bool]:
    """Take in what is new, ask the triggers, and train if they say so; return what they said."""
    _reproduce(ws.root, now, "featurize")
    answer, training = thought.of(ws), conclusion.training(ws.root)
    thought.write(ws, answer)
    for reason in answer.reasons:
        progress.note(f"trigger: {thought.line(reason)}")
    if training.is_file():
        progress.note(f"tick: {news.BROKEN_OFF} It begins again.")
    elif not answer.fires:
        return answer, False
    training.touch()
    _reproduce(ws.root, now)
    return answer, True


def _reproduce(root: Path, now: str, *stages: str) -> None:
    """Run `dvc repro`; where a stage fails, raise with that stage's code."""
    if code := repro.run(root, *stages):
        error = CllError(f"world.yaml: as_of is {now} again; `dvc repro` undoes the rest.")
        error.exit_code = code
        raise error


def _refused(root: Path) -> str:
    """Return what the stage said that failed, where one did."""
    refusal = root / "reports" / "refusal.json"
    try:
        return str(store.read_json(refusal)["says"]) if refusal.is_file() else ""
    except (CllError, KeyError, TypeError):
        return ""


def _note(root: Path, then: datetime, code: int, says: str) -> None:
    """Keep for `cll status` how the tick ended."""
    ended = datetime.now(UTC).replace(microsecond=0)
    told = {"as_of": format_instant(then), "code": code, "says": says}
    store.write_json(root / LAST, told | {"ended": format_instant(ended)})
