"""The jobs of a sweep beside each other: what `hydra/launcher=local` is made of."""

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

# Imported once, before the processes are forked that would each import them.
_PRELOADED = (
    *("lightgbm", "sklearn.linear_model", "sklearn.metrics"),
    "cll.model.artifact",
    *(f"cll.pipeline.{stage}.stage" for stage in ("ingest", "featurize", "evaluate", "gate")),
    "cll.pipeline.train.fit",
)
_ASK: list[Ask] = []  # in a process of `Beside`: how to ask its parent
Judge = Callable[[int, int, float], bool]  # (job, fold, loss out of fold so far): goes it on?


@dataclass(frozen=True)
class Job:
    """What one process is to run."""

    number: int
    overrides: tuple[str, ...]


def goes_on(fold: int, loss: float) -> bool:
    """Ask whether a job that has lost so much by this fold is to go on."""
    return not _ASK or bool(_ASK[0](("judge", fold, loss)))


class Beside:
    """Runs jobs in processes, which it keeps from batch to batch."""

    def __init__(self, run: Callable[[Job], float | None], folder: str, most: int | None) -> None:
        self._run, self._folder, self._most = run, Path(folder), most or cores()
        self._workers: Workers | None = None
        self._ended = 0

    def run(
        self, batch: Sequence[Job], judge: Judge | None = None, total: int | None = None
    ) -> dict[int, float | None]:
        """Run a batch; return each job's figure by its number, None where there is none."""
        if self._workers is None:
            for name in _PRELOADED:
                importlib.import_module(name)
            self._workers = Workers(self._work, min(self._most, len(batch)))
        figures: dict[int, float | None] = {}
        places: dict[int, Path] = {}

        def answer(place: int, told: Any) -> Any:
            kind, *rest = told
            if kind == "begins":
                places[place] = Path(rest[0])
                return None
            return judge is None or judge(batch[place].number, rest[0], rest[1])

        with progress.meter("sweep", total or len(batch), self._ended) as meter:
            for place, told in self._workers.map(batch, answer, meter.tick):
                job = batch[place]
                folder = places.get(place, self._folder / str(job.number))
                if isinstance(told, Lost | Failed):
                    _write_down(folder, job, told)
                figures[job.number] = told if isinstance(told, float) else None
                meter.done(_line(folder))
                self._ended += 1
        return figures

    def _work(self, job: Job, ask: Ask) -> float | None:
        _ASK[:] = [ask]
        return self._run(job)


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Let what a job and its libraries print go to its own log, in a process of `Beside`."""
    if not _ASK:
        yield
        return
    _ASK[0](("begins", str(folder)))
    folder.mkdir(parents=True, exist_ok=True)
    kept = os.dup(1), os.dup(2)
    with links.open_text(folder / jobs.LOG, "w") as log:
        try:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, before in zip((1, 2), kept, strict=True):
                os.dup2(before, stream)
                os.close(before)


def _write_down(folder: Path, job: Job, told: Lost | Failed) -> None:
    """Leave a record of what ended without one."""
    if isinstance(told, Failed):
        folder.mkdir(parents=True, exist_ok=True)
        with links.open_text(folder / jobs.LOG, "a") as log:
            log.write(told.trace)
        if jobs.read(folder):
            return
    says, code = (told.says, told.exit_code) if isinstance(told, Failed) else (str(told), 1)
    jobs.lost(folder, job.overrides, f"{says.rstrip('.')}; see {jobs.LOG} there.", code)


def _line(folder: Path) -> str:
    """Say in one line what became of a job."""
    job, where = jobs.read(folder), console.near(folder)
    if job is None:
        return f"{where}: ended"
    if job.status == "failed":
        return f"{where}: failed: {job.says}"
    figure = "" if job.figure is None else f", {job.figure:.4f} out of fold"
    return f"{where}: {job.status} in {job.seconds:.1f} s{figure}"
