"""Sweeper `hydra/sweeper=optuna`: Optuna chooses each trial by the earlier ones and prunes bad ones.

Hydra's own plugin supports only versions of Optuna from before 2023, and can't prune. Trials are
chosen in batches, and their results are reported in order, so an interrupted sweep that is resumed
chooses the same trials.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    RangeSweep,
    Transformer,
)
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from cll.config import components
from cll.system.cpu import cores
from cll.types.directions import direction_of
from cll.types.errors import ConfigError


class Optuna(Sweeper):
    """Gets trials from Optuna, runs them, and reports their results to it."""

    def __init__(self, trials: int, seed: int, startup: int, beside: int | None) -> None:
        self._trials, self._seed, self._startup = trials, seed, startup
        self._beside = beside or cores()

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self._cfg = config
        self._launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run all trials; a failed job is reported to Optuna as a failed trial."""
        optuna = _library()
        overrides = OverridesParser.create().parse_overrides(arguments)
        fixed = [
            str(override.input_line) for override in overrides if not override.is_sweep_override()
        ]
        space = {
            override.get_key_element(): _distribution(optuna, override)
            for override in overrides
            if override.is_sweep_override()
        }
        study = self._study(optuna)
        folder = Path(self._cfg.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._cfg, folder / "multirun.yaml")
        for begin in range(0, self._trials, self._beside):
            count = min(self._beside, self._trials - begin)
            trials = [study.ask(space) for _ in range(count)]
            jobs = [[*fixed, *(f"{k}={v}" for k, v in t.params.items())] for t in trials]
            self._launch(optuna, study, trials, jobs)

    def _study(self, optuna: Any) -> Any:
        """Return a study that maximizes or minimizes the gate's metric, by its direction."""
        return optuna.create_study(
            direction="maximize" if self._wants_more else "minimize",
            sampler=optuna.samplers.TPESampler(seed=self._seed, n_startup_trials=self._startup),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=self._startup),
        )

    @property
    def _wants_more(self) -> bool:
        """Return whether a higher value of the gate's metric is better."""
        name = self._cfg.gate.metric
        node: Any = OmegaConf.to_container(self._cfg.metric[name], resolve=True)
        return direction_of(name, components.build("metric", {name: node})[name]) == "higher"

    def _launch(self, optuna: Any, study: Any, trials: Sequence[Any], jobs: Any) -> None:
        first, ended = trials[0].number, set[int]()
        sign = (
            -1 if self._wants_more else 1
        )  # a study uses one direction for trials and their folds

        def goes_on(number: int, fold: int, loss: float) -> bool:
            trial = trials[number - first]
            trial.report(sign * loss, fold)
            if trial.should_prune():
                ended.add(trial.number)
            return trial.number not in ended

        if hasattr(self._launcher, "judge"):
            self._launcher.judge, self._launcher.total = goes_on, self._trials
        states = optuna.trial.TrialState
        returned = self._launcher.launch(jobs, initial_job_idx=first)
        for trial, result in zip(trials, returned, strict=True):
            if result.return_value is not None:
                study.tell(trial, result.return_value)
            else:
                study.tell(trial, state=states.PRUNED if trial.number in ended else states.FAIL)


def _library() -> Any:
    try:
        import optuna  # noqa: PLC0415  an extra, and only this sweeper needs it
    except ImportError:
        raise ConfigError(
            'hydra/sweeper=optuna: not installed; install the extra "optuna".'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _ends(interval: IntervalSweep) -> tuple[Any, Any]:
    """Return the ends of an interval; they are integers for `int(interval(1, 9))`."""
    return interval.start, interval.end


def _distribution(optuna: Any, override: Override) -> Any:
    """Return Optuna's distribution for a sweep in Hydra's grammar."""
    sweep: Any = override.value()
    kinds = optuna.distributions
    if isinstance(sweep, IntervalSweep):
        low, high, log = *_ends(sweep), "log" in sweep.tags
        if isinstance(low, int) and isinstance(high, int):
            return kinds.IntDistribution(low, high, log=log)
        return kinds.FloatDistribution(low, high, log=log)
    if not isinstance(sweep, ChoiceSweep | RangeSweep):
        message = "Optuna can't search that; write choices, a range or an interval."
        raise ConfigError(f"{str(override.input_line).removeprefix('++')}: {message}")
    values = list(override.sweep_iterator(Transformer.encode))
    if isinstance(sweep, RangeSweep) and all(isinstance(value, int) for value in values):
        return kinds.IntDistribution(values[0], values[-1], step=sweep.step)
    return kinds.CategoricalDistribution(values)
