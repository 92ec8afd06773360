"""Run one tick: move `as_of` forward, ingest new data, ask the triggers, and train if one fires."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cll.config import components, project
from cll.config.project import load_tree
from cll.loop import changes, outcome, trigger_report, world
from cll.loop.changes import TickEvents
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
class TickResult:
    """Report of a finished tick."""

    review: review.Review
    lines: tuple[str, ...]  # lines that report the release or commit


class TickFailed(CllError):  # noqa: N818  the stage did
    """A stage failed; `reason` is the message of the stage or of DVC."""

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
) -> TickResult:
    """Move the project to `as_of`, by default the last whole hour; return a review of the changes.

    The champion becomes the one that the ledger names. `as_of` moves back only if it is passed, and
    beyond the clock only with `future`. If a stage fails or the tick is ended, world.yaml is
    restored. `clock` replaces the current time in tests.
    """
    now = clock or datetime.now(UTC)
    then = as_of or now.replace(minute=0, second=0, microsecond=0)
    with repair.only_one(root), processes.ending(ENDED):
        try:
            before = project.read_world(root / _WORLD).as_of
            if (root / _PARAMS).is_file():  # for a damaged file our message is clearer than DVC's
                components.load_yaml(root / _PARAMS)
            _refuse_instant(before, then, now, named=as_of is not None, future=future)
            result = _turn(Workspace(root), format_instant(before), format_instant(then), mode)
        except (CllError, OSError) as error:
            refused = error if isinstance(error, CllError) else from_os_error(error)
            _note(root, then, refused.exit_code, getattr(refused, "reason", str(refused)))
            raise
        _note(root, then, 0, " ".join(result.lines))
        return result


def _refuse_instant(
    before: datetime, then: datetime, now: datetime, *, named: bool, future: bool
) -> None:
    """Raise ConfigError if `as_of` would move back without --as-of, or beyond the clock.

    An `as_of` that is beyond the clock already may stay, with a warning.
    """
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
    """Return the release settings; `mode` overrides the one of the config."""
    node = load_tree(ws).get("release") if ws.resolved.is_file() else None
    configured: ReleaseSettings = components.build("release", node) if node else ReleaseSettings()
    return replace(configured, mode=mode) if mode else configured


def _turn(ws: Workspace, now: str, then: str, mode: Mode | None) -> TickResult:
    root, chosen = ws.root, settings(ws, mode)
    with outcome.place(root, chosen):
        before, digests = snapshots.read_folder(root), changes.data_digests(ws)
        values = {"as_of": then}
        if (releases := ledger.read(root)).entries:  # without a ledger, world.yaml's champion stays
            values["champion"] = releases.champion
        progress.note(f"tick: as_of {now} -> {then}")
        with world.moved(root / _WORLD, values, keep=lambda: ledger.read(root).pending):
            answer, trained = _ingest_and_train(ws, now)
            if settings(ws, mode) != chosen:
                progress.say("tick: release: changed, which counts from the next tick on.")
                chosen = ReleaseSettings()
            verdict = staleness.read_verdict(ws) if trained else None
            events = TickEvents(now, then, answer, trained, verdict)
            data_changed = changes.data_differ(digests, changes.data_digests(ws))
            lines = [*outcome.conclude(root, chosen, events, data_changed=data_changed)]
            outcome.training(root).unlink(missing_ok=True)
        lines += outcome.share(root, chosen)
        return TickResult(review.review_since(root, before, f"as_of {now}"), tuple(lines))


def _ingest_and_train(ws: Workspace, now: str) -> tuple[TriggerDecision, bool]:
    """Ingest new data, ask the triggers, and train if one fires.

    Return their answer, and whether it trained.
    """
    _reproduce(ws.root, now, "featurize")
    answer, training = trigger_report.ask_triggers(ws), outcome.training(ws.root)
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
    """Run `dvc repro`; raise `TickFailed` if a stage fails."""
    if failure := repro.run(root, *stages):
        raise TickFailed(before, failure)


def _note(root: Path, then: datetime, code: int, message: str) -> None:
    """Write the end of the tick for `cll status`."""
    ended = datetime.now(UTC).replace(microsecond=0)
    state = {"as_of": format_instant(then), "code": code, "says": message}
    disk.write_json(root / LAST, state | {"ended": format_instant(ended)})
