"""Run the jobs of a sweep in parallel processes, for `hydra/launcher=local`."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cll.experiment import jobs
from cll.experiment.workers import Ask, Failed, Lost, Workers
from cll.system import console, links, progress
from cll.system.cpu import cores

# Imported once in the parent, so that the forked processes need not import them.
_PRELOADED = (
    *("lightgbm", "sklearn.linear_model", "sklearn.metrics"),
    "cll.model.artifact",
    *(f"cll.pipeline.{stage}.stage" for stage in ("ingest", "featurize", "evaluate", "gate")),
    "cll.pipeline.train.fit",
)
_ASK: list[Ask] = []  # in a process of `ParallelJobs`: sends a question to the parent
Judge = Callable[[int, int, float], bool]  # (job, fold, log loss so far) -> whether to continue


@dataclass(frozen=True)
class SweepJob:
    """One job of a sweep, before it runs."""

    number: int
    overrides: tuple[str, ...]


def may_continue(fold: int, loss: float) -> bool:
    """Report a job's log loss after a fold to the sweeper; return whether the job may continue."""
    return not _ASK or bool(_ASK[0](("judge", fold, loss)))


class ParallelJobs:
    """Runs jobs in parallel processes, which are reused for the next batch."""

    def __init__(
        self, run: Callable[[SweepJob], float | None], folder: str, most: int | None
    ) -> None:
        self._run, self._folder, self._most = run, Path(folder), most or cores()
        self._workers: Workers | None = None
        self._ended = 0

    def run(
        self, batch: Sequence[SweepJob], judge: Judge | None = None, total: int | None = None
    ) -> dict[int, float | None]:
        """Run a batch.

        Return each job's figure by the job's number, or None for a job without a figure.
        """
        if self._workers is None:
            for name in _PRELOADED:
                importlib.import_module(name)
            self._workers = Workers(self._work, min(self._most, len(batch)))
        figures: dict[int, float | None] = {}
        places: dict[int, Path] = {}

        def answer(place: int, question: Any) -> Any:
            kind, *rest = question
            if kind == "begins":
                places[place] = Path(rest[0])
                return None
            return judge is None or judge(batch[place].number, rest[0], rest[1])

        with progress.meter("sweep", total or len(batch), self._ended) as meter:
            for place, result in self._workers.map(batch, answer, meter.tick):
                job = batch[place]
                folder = places.get(place, self._folder / str(job.number))
                if isinstance(result, Lost | Failed):
                    _record_failure(folder, job, result)
                figures[job.number] = result if isinstance(result, float) else None
                meter.done(_line(folder))
                self._ended += 1
        return figures

    def _work(self, job: SweepJob, ask: Ask) -> float | None:
        _ASK[:] = [ask]
        return self._run(job)


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Redirect the output of a job and its libraries to its log, in a process of `ParallelJobs`."""
    if not _ASK:
        yield
        return
    _ASK[0](("begins", str(folder)))
    folder.mkdir(parents=True, exist_ok=True)
    originals = os.dup(1), os.dup(2)
    with links.open_text(folder / jobs.LOG, "w") as log:
        try:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, before in zip((1, 2), originals, strict=True):
                os.dup2(before, stream)
                os.close(before)


def _record_failure(folder: Path, job: SweepJob, end: Lost | Failed) -> None:
    """Write the record of a job that ended without writing one, and its traceback to its log."""
    if isinstance(end, Failed):
        folder.mkdir(parents=True, exist_ok=True)
        with links.open_text(folder / jobs.LOG, "a") as log:
            log.write(end.trace)
        if jobs.read(folder):
            return
    message, code = (end.says, end.exit_code) if isinstance(end, Failed) else (str(end), 1)
    jobs.lost(folder, job.overrides, f"{message.rstrip('.')}; see {jobs.LOG} there.", code)


def _line(folder: Path) -> str:
    """Return one line on the end of a job."""
    job, where = jobs.read(folder), console.near(folder)
    if job is None:
        return f"{where}: ended"
    if job.status == "failed":
        return f"{where}: failed: {job.says}"
    figure = "" if job.figure is None else f", {job.figure:.4f} out of fold"
    return f"{where}: {job.status} in {job.seconds:.1f} s{figure}"
