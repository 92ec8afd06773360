"""The ledger on disk and in git: the releases, and from them the champion.

A command reads it once and passes it on. A ledger is never begun anew by mistake: where git has, or
ever had, one, it must be there, whole.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from cll.model import ledger_entries
from cll.model.ledger_entries import LedgerEntry
from cll.system import disk
from cll.types.errors import ConfigError, SecurityRefusal
from cll.vcs import git


@dataclass(frozen=True)
class Ledger:
    """All entries, oldest first; `commits` names the commit that brought each, as far as committed."""

    entries: tuple[LedgerEntry, ...] = ()
    commits: tuple[str, ...] = ()
    in_git: bool = True  # without git every entry counts

    @property
    def committed(self) -> tuple[LedgerEntry, ...]:
        """Return the entries that count."""
        return self.entries[: len(self.commits)] if self.in_git else self.entries

    @property
    def pending(self) -> tuple[LedgerEntry, ...]:
        """Return the entries that were appended and not committed: a command was stopped."""
        return self.entries[len(self.committed) :]

    @property
    def champion(self) -> str:
        """Return the model_id of the champion; "none" before the first release."""
        return ledger_entries.in_force(self.committed)


def read(root: Path) -> Ledger:
    """Read the ledger after checking its chain, and that it continues what each commit has.

    The number of git processes does not grow with the number of entries.
    """
    path = root / ledger_entries.PATH
    in_git = git.there(root)
    if not path.is_file():
        if in_git:
            git.refuse_shallow(root)
        if in_git and git.ever_had(root, ledger_entries.PATH):
            raise SecurityRefusal(
                f"{ledger_entries.PATH}: gone, and git's history has it; {ledger_entries.RESTORE},"
                " or switch to the branch that has it."
            )
        return Ledger(in_git=in_git)
    text = path.read_bytes().decode(errors="replace")
    entries = ledger_entries.parse(text)
    if not in_git:
        return Ledger(entries, in_git=False)
    commits: list[str] = []
    for commit, earlier in git.versions(root, ledger_entries.PATH):
        if refused := ledger_entries.unaltered(text, earlier, commit):
            raise refused
        commits += [commit] * (earlier.count("\n") - len(commits))
    count = git.at(root, "HEAD", ledger_entries.PATH).count(b"\n")
    return Ledger(entries, tuple(commits[:count]))


def begun(root: Path, *, bootstrap: bool) -> Ledger:
    """Read a ledger that has to be there already or, with `bootstrap`, must not be there yet.

    An entry that was not committed does not hinder `bootstrap`: the command that begins goes on
    with it.
    """
    ledger = read(root)
    if bootstrap and ledger.committed:
        raise ConfigError(
            f"--bootstrap: {ledger_entries.PATH} is there, with {len(ledger.entries)} entries;"
            " leave it out."
        )
    if not bootstrap and not ledger.entries:
        raise ConfigError(
            f"{ledger_entries.PATH}: not there, and git never had one; for the first release of a"
            " project run `cll release --bootstrap`."
        )
    return ledger


def append(root: Path, ledger: Ledger, entry: LedgerEntry) -> Ledger:
    """Append one entry: the whole file is written anew beside it, and takes its place."""
    path = root / ledger_entries.PATH
    before = path.read_bytes() if path.is_file() else b""
    disk.write_bytes(path, before + ledger_entries.line(entry).encode() + b"\n")
    return replace(ledger, entries=(*ledger.entries, entry))
