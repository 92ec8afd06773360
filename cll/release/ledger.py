"""The ledger on the disk and in git: what was released, and so which model is in force.

A ledger is never begun anew by mistake: where git has, or had, one, it must be there, whole.
"""

from pathlib import Path

from cll.model import ledger_entries
from cll.model.ledger_entries import Entry
from cll.system import disk
from cll.types.errors import ConfigError, SecurityRefusal
from cll.vcs import git


def champion(root: Path) -> str:
    """Return the model_id in force by the committed ledger; "none" before the first release.

    An entry that is not committed yet does not count.
    """
    return ledger_entries.in_force(committed(root))


def committed(root: Path) -> tuple[Entry, ...]:
    """Return the entries that git has; without git, all."""
    entries = read(root)
    if not git.there(root):
        return entries
    text = git.at(root, "HEAD", ledger_entries.PATH).decode(errors="replace")
    return entries[: text.count("\n")]


def pending(root: Path) -> tuple[Entry, ...]:
    """Return the entries that were appended and not committed: something broke off."""
    return read(root)[len(committed(root)) :]


def commits(root: Path) -> list[str]:
    """Return the commit that brought each entry, as far as they are committed."""
    found: list[str] = []
    for commit, text in git.versions(root, ledger_entries.PATH):
        found += [commit] * (text.count("\n") - len(found))
    return found


def read(root: Path) -> tuple[Entry, ...]:
    """Return all entries, after the chain and git's memory of it were checked; none if none ever."""
    path = root / ledger_entries.PATH
    has_git = git.there(root)
    if not path.is_file():
        if has_git:
            git.refuse_shallow(root)
        if has_git and git.ever_had(root, ledger_entries.PATH):
            raise SecurityRefusal(
                f"{ledger_entries.PATH}: gone, and git's history has it; {ledger_entries.RESTORE}, or switch to the"
                " branch that has it."
            )
        return ()
    text = path.read_bytes().decode(errors="replace")
    entries = ledger_entries.parse(text)
    for commit, earlier in git.versions(root, ledger_entries.PATH) if has_git else ():
        if refused := ledger_entries.unaltered(text, earlier, commit):
            raise refused
    return entries


def begun(root: Path, *, bootstrap: bool) -> tuple[Entry, ...]:
    """Return all entries where there is a ledger; none where one is to be begun."""
    entries = read(root)
    if bootstrap and entries:
        raise ConfigError(
            f"--bootstrap: {ledger_entries.PATH} is there, with {len(entries)} entries; leave it out."
        )
    if not bootstrap and not entries:
        raise ConfigError(
            f"{ledger_entries.PATH}: not there, and git never had one; for the first release of a project"
            " run `cll release --bootstrap`."
        )
    return entries


def append(root: Path, entry: Entry) -> None:
    """Append one entry: the whole file is written anew beside it, and takes its place."""
    path = root / ledger_entries.PATH
    before = path.read_bytes() if path.is_file() else b""
    disk.write_bytes(path, before + ledger_entries.line(entry).encode() + b"\n")
