"""One turn of the loop: `as_of` moves forward, data come in, and triggers say whether to train."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cll.config import components, project
from cll.config.project import load_tree
from cll.loop import changes, outcome, trigger_report, world
from cll.loop.changes import Turned
from cll.release import ledger
from cll.release.policy import Mode, ReleaseSettings
from cll.review import review, snapshots
from cll.system import disk, processes, progress
from cll.system.workspace import Workspace
from cll.types.errors import CllError, ConfigError, from_os_error
from cll.types.times import format_instant
from cll.types.triggers import TriggerDecision
from cll.vcs import repair, repro, staleness

ENDED = 128 + 15  # the exit code of a tick that SIGTERM ended
LAST = Path(".cll") / "tick.json"
_WORLD, _PARAMS = "world.yaml", "params.yaml"


@dataclass(frozen=True)
class Told:
    """What a tick has to say at its end."""

    review: review.Review
    lines: tuple[str, ...]


class Failed(CllError):  # noqa: N818  the stage did
    """A stage failed; `reason` is what it, or DVC, said."""

    def __init__(self, before: str, failure: repro.Failure) -> None:
        super().__init__(f"world.yaml: as_of is {before} again; `dvc repro` undoes the rest.")
        self.exit_code, self.reason = failure.exit_code, failure.reason


def tick(
    root: Path,
    as_of: datetime | None = None,
    mode: Mode | None = None,
    *,
    future: bool = False,
    clock: datetime | None = None,
) -> Told:
    """Move the world to `as_of`, or else to the last whole hour; return what that changed.

    The champion is from now on what the ledger says. Only a moment that is named moves the world
    back, and only with `future` beyond the clock. Where a stage fails, or the tick is ended,
    world.yaml is as it was.
    """
    now = clock or datetime.now(UTC)
    then = as_of or now.replace(minute=0, second=0, microsecond=0)
    with repair.only_one(root), processes.ending(ENDED):
        try:
            before = project.read_world(root / _WORLD).as_of
            if (root / _PARAMS).is_file():  # else DVC refuses a damaged one, without the way out
                components.load_yaml(root / _PARAMS)
            _refuse_instant(before, then, now, named=as_of is not None, future=future)
            found = _turn(Workspace(root), format_instant(before), format_instant(then), mode)
        except (CllError, OSError) as error:
            refused = error if isinstance(error, CllError) else from_os_error(error)
            _note(root, then, refused.exit_code, getattr(refused, "reason", str(refused)))
            raise
        _note(root, then, 0, " ".join(found.lines))
        return found


def _refuse_instant(
    before: datetime, then: datetime, now: datetime, *, named: bool, future: bool
) -> None:
    """Refuse to move the world back unasked, or beyond the clock; one that is there may stay."""
    clock = format_instant(now.replace(microsecond=0))
    if not named and then < before:
        raise ConfigError(
            f"world.yaml: as_of={format_instant(before)} is later than now, "
            f"{format_instant(then)}; name the instant to move it back: cll tick --as-of."
        )
    if then <= now or future:
        return
    if then != before:
        raise ConfigError(
            f"--as-of={format_instant(then)}: later than now, {clock}; name an earlier instant, or "
            "add --future where the data are simulated."
        )
    progress.say(
        f"tick: world.yaml: as_of={format_instant(then)} is later than now, {clock}; unless the data"
        " are simulated, move it back: cll tick --as-of."
    )


def settings(ws: Workspace, mode: Mode | None = None) -> ReleaseSettings:
    """Return what is to become of a tick; `mode` goes before the config's."""
    node = load_tree(ws).get("release") if ws.resolved.is_file() else None
    found: ReleaseSettings = components.build("release", node) if node else ReleaseSettings()
    return replace(found, mode=mode) if mode else found


def _turn(ws: Workspace, now: str, then: str, mode: Mode | None) -> Told:
    root, chosen = ws.root, settings(ws, mode)
    with outcome.place(root, chosen):
        before, days = snapshots.read_folder(root), changes.data(ws)
        values = {"as_of": then}
        if (releases := ledger.read(root)).entries:  # else the champion is what a person wrote
            values["champion"] = releases.champion
        progress.note(f"tick: as_of {now} -> {then}")
        with world.moved(root / _WORLD, values, keep=lambda: ledger.read(root).pending):
            answer, trained = _made(ws, now)
            if settings(ws, mode) != chosen:
                progress.say("tick: release: changed, which counts from the next tick on.")
                chosen = ReleaseSettings()
            verdict = staleness.read_verdict(ws) if trained else None
            turned = Turned(now, then, answer, trained, verdict)
            lines = [
                *outcome.conclude(root, chosen, turned, moved=changes.moved(days, changes.data(ws)))
            ]
            outcome.training(root).unlink(missing_ok=True)
        lines += outcome.share(root, chosen)
        return Told(review.review_since(root, before, f"as_of {now}"), tuple(lines))


def _made(ws: Workspace, now: str) -> tuple[TriggerDecision, bool]:
    """Take in what is new, ask the triggers, and train if they say so; return what they said."""
    _reproduce(ws.root, now, "featurize")
    answer, training = trigger_report.of(ws), outcome.training(ws.root)
    trigger_report.write(ws, answer)
    for reason in answer.reasons:
        progress.note(f"trigger: {trigger_report.line(reason)}")
    if training.is_file():
        progress.note(f"tick: {changes.BROKEN_OFF} It begins again.")
    elif not answer.fires:
        return answer, False
    training.touch()
    _reproduce(ws.root, now)
    return answer, True


def _reproduce(root: Path, before: str, *stages: str) -> None:
    """Run `dvc repro`; raise where a stage fails."""
    if failure := repro.run(root, *stages):
        raise Failed(before, failure)


def _note(root: Path, then: datetime, code: int, says: str) -> None:
    """Keep for `cll status` how the tick ended."""
    ended = datetime.now(UTC).replace(microsecond=0)
    told = {"as_of": format_instant(then), "code": code, "says": says}
    disk.write_json(root / LAST, told | {"ended": format_instant(ended)})
