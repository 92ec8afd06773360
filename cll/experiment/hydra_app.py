"""Start of Hydra's own command line over conf/, and its completion of overrides."""

import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import hydra
from omegaconf import DictConfig

from cll.pipeline.compose.hydra_errors import one_line
from cll.pipeline.compose.hydra_limits import limits
from cll.types.errors import CllError

_FULL_ERROR = "HYDRA_FULL_ERROR"  # Hydra then raises its errors instead of printing pages
_LINE = "COMP_LINE"  # the line that Hydra completes


def launch(conf: Path, arguments: Sequence[str], job: Callable[[DictConfig], float | None]) -> None:
    """Let Hydra run `job` as its command line asks for."""
    line = os.environ.get(_LINE)
    changed = {_FULL_ERROR: "1"}
    if line is not None:  # Hydra expects overrides after the program's name
        changed[_LINE] = re.sub(r"^(\S+\s+)(?:run|replay)\s", r"\1", line)
    before = sys.argv
    sys.argv = ["cll", *arguments]
    try:
        with _environment(changed), one_line(), limits(conf):
            wrap = hydra.main(
                version_base=None, config_path=str(conf.resolve()), config_name="config"
            )
            wrap(job)()
    finally:
        sys.argv = before


def completions(conf: Path, words: Sequence[str], incomplete: str) -> list[str]:
    """Return Hydra's completions of the last override; none if the config does not compose."""
    output = io.StringIO()
    try:
        with _environment({_LINE: " ".join(["cll", *words, incomplete])}), redirect_stdout(output):
            launch(conf, ["-sc", "query=bash"], lambda _: None)
    except (CllError, OSError, SystemExit):
        return []
    return output.getvalue().split()


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables, and restore them at the end."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
