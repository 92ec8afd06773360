"""Launcher `hydra/launcher=local`: runs jobs in parallel, in one process per processor.

Hydra executes this file each time it looks for plugins, so the module holds no state.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from cll.experiment.launcher import Judge, ParallelJobs, SweepJob, logged
from cll.pipeline.compose.hydra_errors import one_line


class Local(Launcher):
    """Runs batches of jobs in worker processes, which stay alive between batches."""

    def __init__(self, processes: int | None = None) -> None:
        self._processes = processes
        self.judge: Judge | None = None  # set by a sweeper that may end jobs early
        self.total: int | None = None  # jobs of the whole sweep, if a batch is only a part of it

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self._context, self._task, self._config = hydra_context, task_function, config
        self._beside: ParallelJobs | None = None

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run a batch, whose jobs are numbered from `initial_job_idx`."""
        if self._beside is None:
            self._beside = ParallelJobs(self._run, self._config.hydra.sweep.dir, self._processes)
        batch = [
            SweepJob(initial_job_idx + k, tuple(overrides))
            for k, overrides in enumerate(job_overrides)
        ]
        figures = self._beside.run(batch, self.judge, self.total)
        return [_returned(job, figures[job.number]) for job in batch]

    def _run(self, job: SweepJob) -> float | None:
        """Run one job, in a process of its own."""
        setup_globals()
        with one_line():
            loader = self._context.config_loader
            config = loader.load_sweep_config(self._config, list(job.overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = job.number
        HydraConfig.instance().set_config(config)  # the names of job folders refer to this config
        folder = Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir))
        with logged(folder):
            figure: Any = run_job(
                hydra_context=self._context,
                task_function=self._task,
                config=config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            ).return_value
        return None if figure is None else float(figure)


def _returned(job: SweepJob, figure: float | None) -> JobReturn:
    """Return a result for Hydra's sweepers; a job that failed has reported its error itself."""
    return JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED, _return_value=figure)
