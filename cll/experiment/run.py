"""Experiments in processes of their own choice, as a Hydra app over the same conf/ that DVC uses.

Hydra brings the command line (`-m`, `--cfg job`, completion), sweepers, launchers and each job's
folder; what is computed there comes from the same functions as in `dvc repro`. Signals and features
are kept by content under .cll/store, so that jobs share them.
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
from cll.experiment.command_line import Asked, Plan
from cll.pipeline import stage_cache, stages
from cll.pipeline.compose import compose, override_grammar
from cll.pipeline.report import terminal
from cll.system import console, disk, links, progress
from cll.system.workspace import Workspace
from cll.types.errors import CllError, ConfigError, Stopped


@dataclass(frozen=True)
class Kind:
    """What a job is: an experiment, or a replay; and how one, or many, are shown."""

    job: Callable[..., float | None]  # (root, folder, tree, report, with_page)
    show: Callable[[Path], None]
    compare: Callable[[Path], None]
    resumes: bool = False  # a single one goes on, too, where it was broken off


def main(root: Path, arguments: Sequence[str], kind: Kind | None = None) -> int:
    """Run what the command line asks for, experiments unless told; return the exit code."""
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
    if not asked.flags:  # Hydra would name the folder anew, at another instant
        folder = _begun(root, asked, plan, resumed) if kind.resumes else plan.folder
        more = [f"hydra.run.dir={override_grammar.quote(str(folder))}"]
    _launch(root, asked, plan, partial(_alone, root, kind, plan, refused), *more)
    if refused:
        raise refused[0]
    return 0


def _resumed(arguments: Sequence[str]) -> tuple[Sequence[str], Path | None]:
    """Return what was asked for when the sweep began that is to go on, and its folder."""
    if command_line.RESUME not in arguments:
        return arguments, None
    if len(arguments) != 2 or arguments[0] != command_line.RESUME:  # noqa: PLR2004  it and its folder
        raise ConfigError(
            f"{command_line.RESUME}: write `cll run {command_line.RESUME} DIR` alone."
        )
    folder = Path(arguments[1])
    return jobs.begun(folder)["arguments"], folder


def _refuse_links(root: Path, folder: Path, *, is_sweep: bool) -> None:
    """Refuse links where jobs write: on the way to their folder, and in those that began there."""
    links.refuse_on_way(root, folder)
    if is_sweep:
        links.refuse_inside(folder)
    for job in folder.glob("*/") if is_sweep else [folder]:
        links.refuse(job)


def _launch(
    root: Path, asked: Asked, plan: Plan, job: Callable[[DictConfig], float | None], *more: str
) -> None:
    """Let Hydra run `job` as often as it is asked for."""
    words = [*asked.flags, *plan.baseline, *plan.overrides, *more]
    hydra_app.launch(root / "conf", words, job)


def _alone(root: Path, kind: Kind, plan: Plan, refused: list[CllError], _: DictConfig) -> None:
    """Run the one experiment that is asked for, here."""
    found = HydraConfig.get()
    folder = Path(found.runtime.output_dir)
    try:
        with jobs.recorded(folder, found.overrides.task) as record:
            record.figure = kind.job(root, folder, plan.tree or {}, record.losses.append)
    except CllError as error:
        refused.append(error)
        return
    kind.show(folder)


def _sweep(
    root: Path,
    kind: Kind,
    params: Mapping[str, Any],
    asked: Asked,
    plan: Plan,
    resumed: Path | None,
) -> int:
    """Run all jobs; show how they compare; return the first one's exit code that failed."""
    folder = _begun(root, asked, plan, resumed)
    job = partial(_one_of_many, root, kind, params, plan, resumed)
    _launch(root, asked, plan, job, f"hydra.sweep.dir={override_grammar.quote(str(folder))}")
    kind.compare(folder)
    return next((job.exit_code for _, job in jobs.found(folder) if job.exit_code), 0)


def _begun(root: Path, asked: Asked, plan: Plan, resumed: Path | None) -> Path:
    """Write down what begins, or check that what goes on is still made of the same."""
    folder, now = resumed or plan.folder, _made_of(root)
    if resumed is None:
        jobs.begin(folder, [*asked.flags, *asked.texts], now)
    for name, digest in jobs.begun(folder)["made_of"].items():
        if now.get(name) != digest:
            raise ConfigError(
                f"{folder}: {name} is not what it was when this began; restore it, or begin anew."
            )
    return folder


def _made_of(root: Path) -> dict[str, str]:
    """Digest what all jobs of a sweep are made of."""
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
    """Run one job of a sweep, which composes its own tree and stops no other."""
    found = HydraConfig.get()
    folder, overrides = Path(found.runtime.output_dir), list(found.overrides.task)
    own = [one.removeprefix("++") for one in _besides(overrides, plan.baseline)]
    past = jobs.read(folder) if resumed else None
    if past and past.status != "failed" and list(past.overrides) == own:
        for fold, loss in enumerate(past.losses):
            launcher.goes_on(fold, loss)  # who chooses trials knows again what it knew
        return past.figure
    GlobalHydra.instance().clear()  # the sweeper's
    try:
        with jobs.recorded(folder, own) as record:
            tree = _tree(root / "conf", params, cfg, found)
            judged = partial(_judged, record.losses)
            record.figure = kind.job(root, folder, tree, judged, with_page=False)
    except Stopped:
        return None
    except CllError as error:
        progress.say(f"cll: {console.near(folder)}: {error}")
        return None
    return record.figure


def _judged(losses: list[float], loss: float) -> None:
    """End a job early where the sweeper says that it does not pay."""
    losses.append(loss)
    if not launcher.goes_on(len(losses) - 1, loss):
        raise Stopped(f"Ended after fold {len(losses)}: others did better by then.")


def _tree(conf: Path, params: Mapping[str, Any], cfg: DictConfig, found: HydraConf) -> Tree:
    """Check what Hydra composed, or compose again with what params.yaml sets for its choices."""
    if params.get("set"):
        return compose.resolve(conf, params, found.overrides.task)
    return compose.checked(conf, *compose.split(cfg, found.runtime.choices))


def _besides(overrides: Sequence[str], first: Sequence[str]) -> list[str]:
    left = list(overrides)
    for one in first:
        if one in left:
            left.remove(one)
    return left


def experiment(
    root: Path,
    folder: Path,
    tree: Tree,
    report: Callable[[float], None],
    *,
    with_page: bool = True,
) -> float | None:
    """Run one composed experiment into `folder`; return its figure out of fold, if it has one.

    `report` is told the log loss out of fold so far, after each fold.
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
