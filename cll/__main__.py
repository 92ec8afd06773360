"""Entry point of `cll`: run a stage, or the command line, with the right copy of the code."""

import importlib
import sys
from typing import NoReturn

from cll.system import imports


def main() -> NoReturn:
    """Run `cll`; in DVC's copy of this repository, run the copy's own `cll`."""
    copy = imports.experiment()
    imports.search_no_source(copy)
    if copy is not None:
        importlib.import_module("cll.__main__").run()
    run()


def run() -> NoReturn:
    """Run one stage for DVC (`cll stage NAME`), or the command line."""
    if sys.argv[1:2] == ["stage"]:
        from cll.pipeline import stages  # noqa: PLC0415  a stage starts without the command line

        sys.exit(stages.command(sys.argv[2:]))
    from cll.cli import main as cli_main  # noqa: PLC0415  a stage starts without the command line

    cli_main.main()


if __name__ == "__main__":
    main()
