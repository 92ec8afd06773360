"""Command that prints a shell's completion script, and the completion of overrides and groups.

The scripts call `cll` in the way of typer's own scripts, which cannot be used: bash takes the `=` of
GROUP=CHOICE for the end of a word, and no space may follow GROUP=.
"""

from enum import StrEnum

import typer

from cll.cli.options import ROOT, command

PANEL = "Shell"
VARIABLE = "_CLL_COMPLETE"  # typer's name; it is set when a script asks for completions

_BASH = r"""
_cll_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" word reply
    local -a words=()
    read -ra words <<< "$line"
    if [[ $line == *[[:space:]] ]]; then words+=(""); fi
    word="${words[${#words[@]}-1]}"
    COMPREPLY=()
    while IFS= read -r reply; do
        # a path is returned as it is: bash then completes names of files
        if [[ -n $reply && $reply != "$word" ]]; then COMPREPLY+=("$reply"); fi
    done < <(IFS=$'\n'; COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) \
        _CLL_COMPLETE=complete_bash "$1" 2> /dev/null)
    # Readline replaces only the part of the word after the last character of COMP_WORDBREAKS.
    if [[ $word == *=* && $COMP_WORDBREAKS == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*=}"}"}")
    fi
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=./] ]]; then compopt -o nospace; fi
}
complete -o default -F _cll_completion cll
"""

_ZSH = r"""
_cll_completion() {
    local line value help
    local -a open closed
    for line in ${(f)"$(_CLL_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
            _TYPER_COMPLETE_ARGS="${(j: :)words[1,CURRENT]}" $words[1] 2> /dev/null)"}; do
        value=${line%%$'\t'*}
        help=${line#$value}
        if [[ -z $value || $value == $words[CURRENT] ]]; then continue; fi
        if [[ $value == *[=./] ]]; then open+=($value)
        else closed+=("${value//:/\\:}${help:+:${help#$'\t'}}"); fi
    done
    if (( $#open + $#closed == 0 )); then _files; return; fi
    if (( $#open )); then compadd -S '' -- $open; fi
    if (( $#closed )); then _describe -V cll closed; fi
}
if ! whence compdef > /dev/null; then autoload -Uz compinit && compinit; fi
compdef _cll_completion cll
"""


class Shell(StrEnum):
    """Shells for which a completion script exists."""

    BASH = "bash"
    ZSH = "zsh"


_SCRIPTS = {Shell.BASH: _BASH, Shell.ZSH: _ZSH}

app = typer.Typer()


@command(app, 'eval "$(cll completion bash)"', 'eval "$(cll completion zsh)"', panel=PANEL)
def completion(shell: Shell) -> None:
    """Print a script that completes commands and overrides.

    It completes commands, options, and after `cll run` and `cll replay` the groups, choices and keys
    of conf/. Add the line of the example to ~/.bashrc or ~/.zshrc.
    """
    typer.echo(_SCRIPTS[shell].strip())


def enable() -> None:
    """Let typer answer the scripts of the shells."""
    # typer exports no such function; without it, its own options for completion have to be shown.
    from typer import completion as typer_completion  # noqa: PLC0415  each command imports what it uses

    typer_completion.completion_init()  # type: ignore[attr-defined]


def overrides(context: typer.Context, incomplete: str) -> list[str]:
    """Return the completions of an override, after those that precede it."""
    from cll.experiment import hydra_app  # noqa: PLC0415  each command imports what it uses

    words = ["-m"] if context.params.get("multirun") else []
    words += context.params.get("arguments") or []
    return hydra_app.completions(ROOT / "conf", words, incomplete)


def groups(incomplete: str) -> list[str]:
    """Return the groups of conf/ that begin so."""
    return sorted(path.name for path in (ROOT / "conf").glob(f"{incomplete}*/"))
