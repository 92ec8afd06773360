"""Entry point of the command line, with the options that every command has."""

import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from cll.cli import check, completion, data, experiment, loop, release, serving
from cll.cli.options import ROOT, examples
from cll.types.errors import CllError, from_os_error

app = typer.Typer(
    name="cll",
    help="Keep a failure predictor up to date: train, compare and release models from YAML config.",
    epilog=examples("cll run estimator=logistic", "cll conf estimator"),
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for room in (experiment, data, loop, release, check, serving, completion):
    app.add_typer(room.app)

_EVERYWHERE = {"--quiet", "--debug"}  # options that may also follow the command
_NO_PROJECT = {
    "--help",
    "-h",
    "-sc",
    "--version",
    "completion",
}  # words that make a command read no project


def _print_version(asked: bool) -> None:  # noqa: FBT001  typer's form of a callback
    if asked:
        from importlib import metadata  # noqa: PLC0415  each command imports what it uses

        typer.echo(f"cll {metadata.version('cll')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print results and errors, but no progress and notes.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[  # noqa: ARG001  its callback prints it
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Set the options that every command has."""
    if quiet:
        from cll.system.progress import QUIET_VARIABLE  # noqa: PLC0415

        os.environ[QUIET_VARIABLE] = "1"
    if debug:
        os.environ["CLL_DEBUG"] = "1"


def main() -> NoReturn:
    """Run the command line; print a refusal as one line, and exit with its code."""
    given = sys.argv[1:]
    words = [word for word in given if word in _EVERYWHERE]
    words += [word for word in given if word not in _EVERYWHERE]
    if words[:1] == ["-sc"]:  # Hydra's completion script calls it without `run`
        words = ["run", *words]
    if completion.VARIABLE in os.environ:
        completion.enable()
    try:
        if words and "completion" not in words[:1] and not _NO_PROJECT & set(words):
            _refuse_unsound_project()
        app(words)
    except (CllError, OSError) as error:
        if os.environ.get("CLL_DEBUG"):
            traceback.print_exc()
        refusal = error if isinstance(error, CllError) else from_os_error(error)
        typer.echo(f"cll: {refusal}", err=True)
        sys.exit(refusal.exit_code)
    sys.exit(0)


def _refuse_unsound_project() -> None:
    """Refuse a project with links where commands write, or with merge conflicts."""
    from cll.system import links  # noqa: PLC0415  help reads no project
    from cll.vcs import merge_conflict  # noqa: PLC0415  help reads no project

    links.refuse(ROOT)
    merge_conflict.refuse(ROOT)
