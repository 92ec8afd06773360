"""Run experiments and sweeps as a Hydra app, over the same conf/ that `dvc repro` uses.

Hydra provides the command line (`-m`, `--cfg job`, completion), sweepers, launchers and each job's
folder. A job calls the same functions as `dvc repro`. Signals and features are cached by content
under .cll/store, so that jobs share them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cll.config import catalog, components
from cll.config.project import Tree, load_world
from cll.experiment import command_line, hydra_app, jobs, launcher, leaderboard
from cll.experiment.command_line import Arguments, Plan
from cll.pipeline import stage_cache, stages
from cll.pipeline.compose import compose, override_grammar
from cll.pipeline.report import terminal
from cll.system import console, disk, links, progress
from cll.system.workspace import Workspace
from cll.types.errors import CllError, ConfigError, Stopped


@dataclass(frozen=True)
class Kind:
    """Functions that run, show and compare jobs of a kind: experiments, or replays."""

    job: Callable[..., float | None]  # (root, folder, tree, report, with_page)
    show: Callable[[Path], None]
    compare: Callable[[Path], None]
    resumes: bool = False  # whether a single interrupted job can be resumed, too


def main(root: Path, arguments: Sequence[str], kind: Kind | None = None) -> int:
    """Run the job or sweep of the command line, by default experiments; return the exit code."""
    kind = kind or Kind(experiment, terminal.show, leaderboard.show)
    conf = root / "conf"
    if not conf.is_dir():
        raise ConfigError(f"{conf}: no such folder; is this the project's folder?")
    arguments, resumed = _resumed(arguments)
    asked = command_line.read(arguments)
    if not asked.is_experiment:
        hydra_app.launch(conf, [*asked.flags, *asked.texts], lambda _: None)
        return 0
    links.refuse(root)
    load_world(Workspace(root))
    params = components.load_yaml(root / "params.yaml")
    plan = command_line.plan(conf, params, asked)
    _refuse_links(root, resumed or plan.folder, is_sweep=asked.is_sweep)
    if asked.is_sweep:
        return _sweep(root, kind, params, asked, plan, resumed)
    refused: list[CllError] = []
    more = []
    if not asked.flags:  # otherwise Hydra would compute the folder's name again, at a later time
        folder = _begun(root, asked, plan, resumed) if kind.resumes else plan.folder
        more = [f"hydra.run.dir={override_grammar.quote(str(folder))}"]
    _launch(root, asked, plan, partial(_alone, root, kind, plan, refused), *more)
    if refused:
        raise refused[0]
    return 0


def _resumed(arguments: Sequence[str]) -> tuple[Sequence[str], Path | None]:
    """Return the command line, and for --resume the one recorded in the folder, with the folder."""
    if command_line.RESUME not in arguments:
        return arguments, None
    if len(arguments) != 2 or arguments[0] != command_line.RESUME:  # noqa: PLR2004  it and its folder
        raise ConfigError(
            f"{command_line.RESUME}: write `cll run {command_line.RESUME} DIR` alone."
        )
    folder = Path(arguments[1])
    return jobs.begun(folder)["arguments"], folder


def _refuse_links(root: Path, folder: Path, *, is_sweep: bool) -> None:
    """Raise if there are links where jobs write: above their folder, or in folders of earlier jobs."""
    links.refuse_on_way(root, folder)
    if is_sweep:
        links.refuse_inside(folder)
    for job in folder.glob("*/") if is_sweep else [folder]:
        links.refuse(job)


def _launch(
    root: Path, asked: Arguments, plan: Plan, job: Callable[[DictConfig], float | None], *more: str
) -> None:
    """Let Hydra call `job`, once or for each job of a sweep."""
    words = [*asked.flags, *plan.baseline, *plan.overrides, *more]
    hydra_app.launch(root / "conf", words, job)


def _alone(root: Path, kind: Kind, plan: Plan, refused: list[CllError], _: DictConfig) -> None:
    """Run a single job in this process."""
    hydra_conf = HydraConfig.get()
    folder = Path(hydra_conf.runtime.output_dir)
    try:
        with jobs.recorded(folder, hydra_conf.overrides.task) as record:
            record.figure = kind.job(root, folder, plan.tree or {}, record.losses.append)
    except CllError as error:
        refused.append(error)
        return
    kind.show(folder)


def _sweep(
    root: Path,
    kind: Kind,
    params: Mapping[str, Any],
    asked: Arguments,
    plan: Plan,
    resumed: Path | None,
) -> int:
    """Run all jobs and show a comparison; return the exit code of the first job that failed."""
    folder = _begun(root, asked, plan, resumed)
    job = partial(_one_of_many, root, kind, params, plan, resumed)
    _launch(root, asked, plan, job, f"hydra.sweep.dir={override_grammar.quote(str(folder))}")
    kind.compare(folder)
    return next((job.exit_code for _, job in jobs.listed(folder) if job.exit_code), 0)


def _begun(root: Path, asked: Arguments, plan: Plan, resumed: Path | None) -> Path:
    """Record a new sweep, or check that the inputs of a resumed one are unchanged."""
    folder, now = resumed or plan.folder, _made_of(root)
    if resumed is None:
        jobs.begin(folder, [*asked.flags, *asked.texts], now)
    for name, digest in jobs.begun(folder)["made_of"].items():
        if now.get(name) != digest:
            raise ConfigError(
                f"{folder}: {name} changed since this began; restore it, or begin anew."
            )
    return folder


def _made_of(root: Path) -> dict[str, str]:
    """Return the digests of conf/, the code, params.yaml and world.yaml, on which all jobs depend."""
    conf = {str(p.relative_to(root)): disk.sha256(p) for p in sorted(root.glob("conf/**/*.y*ml"))}
    code = {p.name: disk.sha256(p) for p in sorted(catalog.PACKAGE.rglob("*.py"))}
    files = {name: disk.sha256(root / name) for name in ("params.yaml", "world.yaml")}
    return {"conf/": disk.digest(conf), "the code": disk.digest(code), **files}


def _one_of_many(
    root: Path,
    kind: Kind,
    params: Mapping[str, Any],
    plan: Plan,
    resumed: Path | None,
    cfg: DictConfig,
) -> float | None:
    """Run one job of a sweep, with its own config; its failure does not stop other jobs."""
    hydra_conf = HydraConfig.get()
    folder, overrides = Path(hydra_conf.runtime.output_dir), list(hydra_conf.overrides.task)
    own = [text.removeprefix("++") for text in _without(overrides, plan.baseline)]
    earlier = jobs.read(folder) if resumed else None
    if earlier and earlier.status != "failed" and list(earlier.overrides) == own:
        for fold, loss in enumerate(earlier.losses):
            launcher.may_continue(fold, loss)  # reports the losses to the sweeper again
        return earlier.figure
    GlobalHydra.instance().clear()  # remove the sweeper's instance
    try:
        with jobs.recorded(folder, own) as record:
            tree = _tree(root / "conf", params, cfg, hydra_conf)
            report = partial(_report_loss, record.losses)
            record.figure = kind.job(root, folder, tree, report, with_page=False)
    except Stopped:
        return None
    except CllError as error:
        progress.say(f"cll: {console.near(folder)}: {error}")
        return None
    return record.figure


def _report_loss(losses: list[float], loss: float) -> None:
    """Report a fold's loss to the sweeper; raise `Stopped` if the sweeper ends the job."""
    losses.append(loss)
    if not launcher.may_continue(len(losses) - 1, loss):
        raise Stopped(f"Ended after fold {len(losses)}: others did better by then.")


def _tree(conf: Path, params: Mapping[str, Any], cfg: DictConfig, hydra_conf: HydraConf) -> Tree:
    """Return the job's checked config; if params.yaml has a `set`, it is composed again with it."""
    if params.get("set"):
        return compose.resolve(conf, params, hydra_conf.overrides.task)
    return compose.checked(conf, *compose.split(cfg, hydra_conf.runtime.choices))


def _without(overrides: Sequence[str], first: Sequence[str]) -> list[str]:
    rest = list(overrides)
    for override in first:
        if override in rest:
            rest.remove(override)
    return rest


def experiment(
    root: Path,
    folder: Path,
    tree: Tree,
    report: Callable[[float], None],
    *,
    with_page: bool = True,
) -> float | None:
    """Run one composed experiment into `folder`; return its figure out of fold, if it has one.

    `report` is called with the log loss out of fold so far, after each fold.
    """
    ws = Workspace(root, folder)
    world = load_world(ws)
    disk.write_bytes(ws.resolved, compose.render(tree).encode())
    ws = stage_cache.data(ws, tree, world)
    stages.train(ws, tree, world, lambda _, loss: report(loss))
    for stage in ("evaluate", "gate", *(["report"] if with_page else [])):
        stages.STAGES[stage](ws, tree, world)
    out_of_fold = disk.read_json(ws.candidate / "model.json")["train"]["out_of_fold"]
    figure = out_of_fold.get(tree["gate"]["metric"])
    return None if figure is None else float(figure)
