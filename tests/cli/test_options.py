import re

import pytest
import typer

from cll.cli import options
from cll.types.errors import ConfigError


@pytest.mark.parametrize("parse", [options.instant, options.duration])
def test_a_time_that_does_not_parse_names_its_option(parse):
    with pytest.raises(ConfigError, match=re.escape("--at: 'soon' is not a")):
        parse("--at", "soon")


def test_a_docstring_becomes_paragraphs_that_a_terminal_can_wrap():
    app = typer.Typer()

    @options.command(app, "cll greet", panel="Words")
    def greet():
        """Greet.

        The greeting
        is polite.
        """

    (info,) = app.registered_commands
    assert info.callback is greet
    assert info.help == "Greet.\n\nThe greeting is polite."
    assert info.epilog == "Examples:\n  cll greet"
