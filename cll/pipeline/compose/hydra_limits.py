"""Limits on the configs that Hydra composes and runs.

A config may refer to its own keys; Hydra's own settings may also refer to the time, the process and
the job. No config may be read from outside of conf/, call a function, or write outside of the
folders of runs. Each config is checked after Hydra composed it and before it takes effect.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cll.config import resolvers, safety
from cll.types.errors import CllError, SecurityRefusal

FOLDERS = ("outputs", "multirun")  # folders of runs: a run writes only below them
_PLUGINS = {
    "launcher": (
        "hydra_plugins.cll_sweeps.launcher.Local",
        "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    ),
    "sweeper": (
        "hydra_plugins.cll_sweeps.grid.Grid",
        "hydra_plugins.cll_sweeps.optuna.Optuna",
        "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    ),
}
_KNOWN = {
    *("run", "sweep", "launcher", "sweeper", "job", "output_subdir", "verbose", "mode"),
    *("help", "hydra_help", "job_logging", "hydra_logging", "env"),  # text, or disabled below
    *("callbacks", "searchpath", "overrides", "runtime"),
}
_UNSET: dict[
    str, tuple[str, tuple[object, ...]]
] = {  # for each key, the harm of other values, and the harmless values
    "callbacks": ("call code", (None, {})),
    "searchpath": ("read files outside of conf/", ([],)),
    "job.chdir": ("leave the project's folder", (None, False)),
    "job.env_copy": ("read environment variables", ([],)),
    "job.env_set": ("set environment variables", ({},)),
}
_MAPPINGS = {"run", "sweep", "launcher", "sweeper", "job"}
_LOGGING = ("job_logging", "hydra_logging")
_COMPOSED_BY_HYDRA = {"overrides", "runtime"}
_load, _read = ConfigLoaderImpl.load_configuration, ConfigRepository.load_config


@contextmanager
def limits(conf: Path) -> Iterator[None]:
    """Check each file that Hydra reads and each config that it composes, within the block.

    Two methods of Hydra are replaced for that, since it has no hook there, and a sweep's launcher
    composes each job's config itself.
    """
    root = conf.absolute().parent

    def load(self: ConfigLoaderImpl, *args: Any, **named: Any) -> DictConfig:
        cfg = _composed(self, *args, **named)
        refuse_unsafe_settings(cfg, root)
        for name in (
            _LOGGING
        ):  # a logging config can call any function by name, so it is replaced by an empty one
            silent = {"version": 1, "root": None}
            OmegaConf.update(cfg, f"hydra.{name}", silent, merge=False, force_add=True)
        return cfg

    before = ConfigLoaderImpl.load_configuration, ConfigRepository.load_config
    ConfigLoaderImpl.load_configuration = load  # type: ignore[method-assign]
    ConfigRepository.load_config = _inside  # type: ignore[method-assign]
    try:
        with resolvers.restricted():
            yield
    finally:
        ConfigLoaderImpl.load_configuration = before[0]  # type: ignore[method-assign]
        ConfigRepository.load_config = before[1]  # type: ignore[method-assign]


def _composed(self: ConfigLoaderImpl, *args: Any, **named: Any) -> DictConfig:
    try:
        return _load(self, *args, **named)
    except OmegaConfBaseException:
        raise
    except KeyError:  # the variable is not set
        raise _unset_refusal("job.env_copy") from None


def _inside(self: ConfigRepository, config_path: str) -> Any:
    """Read a config of conf/ or of Hydra; refuse paths that lead outside, such as `//etc/x`, `../x`."""
    if config_path.startswith("/") or ".." in config_path.split("/"):
        raise SecurityRefusal(f"{config_path}: lies outside of conf/; name an existing choice.")
    return _read(self, config_path)


def refuse_unsafe_settings(cfg: DictConfig, root: Path) -> None:
    """Refuse settings of Hydra that would call code, or read or write outside of the allowed folders."""
    if OmegaConf.is_interpolation(cfg, "hydra"):
        raise _no_mapping("hydra")
    node: Any = OmegaConf.to_container(cfg.hydra, resolve=False)
    for name, value in node.items():
        if name not in _KNOWN:
            raise SecurityRefusal(f"hydra.{name}: not a setting of Hydra; remove it.")
        if name in _MAPPINGS and not isinstance(value, Mapping):
            raise _no_mapping(f"hydra.{name}")
    settings = {name: value for name, value in node.items() if name not in _COMPOSED_BY_HYDRA}
    for key, value in safety.leaves(settings, "hydra"):
        safety.refuse_unsafe_leaf(key, value, resolvers.NAMES)
    for name in _PLUGINS:  # Hydra resolves references here, and calls the target
        settings[name] = OmegaConf.to_container(cfg.hydra[name], resolve=True)
    _refuse_calls(settings, "hydra")
    _refuse_set(node)
    _refuse_outside(cfg, node, root)


def _no_mapping(key: str) -> SecurityRefusal:
    return SecurityRefusal(f"{key}: may not refer to another key; write a mapping.")


def _refuse_set(node: Mapping[str, Any]) -> None:
    """Refuse settings that must keep a harmless value."""
    for key, (_, harmless) in _UNSET.items():
        *outer, last = key.split(".")
        inner = node[outer[0]] if outer else node
        if last in inner and inner[last] not in harmless:
            raise _unset_refusal(key)
    for source in node["runtime"]["config_sources"]:
        if str(source["provider"]).startswith("hydra.searchpath"):
            raise _unset_refusal("searchpath")


def _unset_refusal(key: str) -> CllError:
    return SecurityRefusal(f"hydra.{key}: refused, since it would {_UNSET[key][0]}; remove it.")


def _refuse_calls(node: object, where: str) -> None:
    """Refuse `_target_` and similar keys, except for the allowed launchers and sweepers."""
    if isinstance(node, list):
        for index, value in enumerate(node):
            _refuse_calls(value, f"{where}[{index}]")
    if not isinstance(node, Mapping):
        return
    for name, value in node.items():
        key, plugin = f"{where}.{name}", where.removeprefix("hydra.")
        if name == "_target_" and plugin in _PLUGINS:
            if value not in _PLUGINS[plugin]:
                listed = ", ".join(_PLUGINS[plugin])
                raise SecurityRefusal(
                    f"{key}={value}: not a plugin of Hydra's; there are: {listed}."
                )
        elif re.fullmatch("_.*_", str(name)):
            shown = f"={value}" if isinstance(value, str) else ""
            raise SecurityRefusal(f"{key}{shown}: not a plugin of Hydra's; remove it.")
        _refuse_calls(value, key)


def _refuse_outside(cfg: DictConfig, node: Mapping[str, Any], root: Path) -> None:
    """Refuse a folder of a run, a sweep or a job outside of the folders of runs."""
    below = {"sweep.subdir": _first_job(node["sweep"]["subdir"])}
    if cfg.hydra.output_subdir is not None:
        below["output_subdir"] = str(cfg.hydra.output_subdir)
    for key, text in below.items():
        if PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts:
            raise SecurityRefusal(
                f"hydra.{key}={text}: leaves the job's folder; name one below it."
            )
    settings = below.get("output_subdir", "")
    run, sweep = str(cfg.hydra.run.dir), str(cfg.hydra.sweep.dir)
    places = {
        "run.dir": (run, f"{run}/{settings}"),
        "sweep.dir": (sweep, f"{sweep}/{below['sweep.subdir']}/{settings}"),
    }
    for key, folders in places.items():
        for folder in folders:
            _refuse_outside_of_runs(root, f"hydra.{key}", folder)


def _first_job(text: str) -> str:
    """Return the folder of a sweep's first job; its name may only depend on number and time."""
    job = {"num": 0, "id": "0"}
    config = OmegaConf.create({"hydra": {"job": job, "sweep": {"subdir": text}}})
    try:
        return str(config.hydra.sweep.subdir)
    except OmegaConfBaseException:
        raise SecurityRefusal(
            f"hydra.sweep.subdir={text}: may only name ${{hydra:job.num}}, ${{now:...}} and ${{pid:}}."
        ) from None


def _refuse_outside_of_runs(root: Path, key: str, folder: str) -> None:
    """Refuse a folder that is not below a folder of runs after resolving `..` and links."""
    try:
        place = (root / folder).resolve()
        inside = any(place.is_relative_to(root.resolve() / name) for name in FOLDERS)
    except (OSError, RuntimeError, ValueError):  # a link to itself, or an invalid name
        inside = False
    if not inside or "${" in folder:
        raise SecurityRefusal(
            f"{key}={folder}: lies outside of {' and '.join(f'{name}/' for name in FOLDERS)}; "
            "name a folder below one of them."
        )
