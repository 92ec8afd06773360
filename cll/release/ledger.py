"""Ledger of releases and rollbacks, read from disk and checked against git; it names the champion.

A command reads it once and passes it on. A lost ledger is never replaced by a new one: if git ever
contained one, the file must exist and continue it.
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
    """All entries, oldest first, and the commits that added the committed ones, in the same order."""

    entries: tuple[LedgerEntry, ...] = ()
    commits: tuple[str, ...] = ()
    in_git: bool = True  # without git, every entry counts as committed

    @property
    def committed(self) -> tuple[LedgerEntry, ...]:
        """Return the entries that are committed; only these count."""
        return self.entries[: len(self.commits)] if self.in_git else self.entries

    @property
    def pending(self) -> tuple[LedgerEntry, ...]:
        """Return the entries that an interrupted command appended and did not commit."""
        return self.entries[len(self.committed) :]

    @property
    def champion(self) -> str:
        """Return the model_id of the champion; "none" before the first release."""
        return ledger_entries.in_force(self.committed)


def read(root: Path) -> Ledger:
    """Read the ledger, and check its chain and that it continues the ledger of each commit.

    The number of git processes does not grow with the number of entries.
    """
    path = root / ledger_entries.PATH
    in_git = git.has_commit(root)
    if not path.is_file():
        if in_git:
            git.refuse_shallow(root)
        if in_git and git.ever_had(root, ledger_entries.PATH):
            raise SecurityRefusal(
                f"{ledger_entries.PATH}: missing, and git's history has it; {ledger_entries.RESTORE},"
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
    count = git.read_file(root, "HEAD", ledger_entries.PATH).count(b"\n")
    return Ledger(entries, tuple(commits[:count]))


def begun(root: Path, *, bootstrap: bool) -> Ledger:
    """Read a ledger that must exist already or, with `bootstrap`, must not exist yet.

    An entry that is not committed does not count: after an interruption the same command, with
    `--bootstrap`, finishes it.
    """
    ledger = read(root)
    if bootstrap and ledger.committed:
        raise ConfigError(
            f"--bootstrap: {ledger_entries.PATH} exists, with {len(ledger.entries)} entries;"
            " omit the option."
        )
    if not bootstrap and not ledger.entries:
        raise ConfigError(
            f"{ledger_entries.PATH}: missing, and git never had one; for the first release of a"
            " project run `cll release --bootstrap`."
        )
    return ledger


def append(root: Path, ledger: Ledger, entry: LedgerEntry) -> Ledger:
    """Append one entry atomically: write the whole file under another name, then rename it."""
    path = root / ledger_entries.PATH
    before = path.read_bytes() if path.is_file() else b""
    disk.write_bytes(path, before + ledger_entries.line(entry).encode() + b"\n")
    return replace(ledger, entries=(*ledger.entries, entry))
