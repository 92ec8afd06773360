"""The ledger on the disk and in git: what was released, and so which model is in force.

A ledger is never begun anew by mistake: where git has, or had, one, it must be there, whole.
"""

from pathlib import Path

from cll import chain, history, store
from cll.chain import Entry
from cll.errors import ConfigError, SecurityRefusal


def champion(root: Path) -> str:
    """Return the model_id in force by the committed ledger; "none" before the first release.

    An entry that is not committed yet does not count.
    """
    return chain.in_force(committed(root))


def committed(root: Path) -> tuple[Entry, ...]:
    """Return the entries that git has; without git, all."""
    entries = read(root)
    if not history.there(root):
        return entries
    text = history.at(root, "HEAD", chain.PATH).decode(errors="replace")
    return entries[: text.count("\n")]


def pending(root: Path) -> tuple[Entry, ...]:
    """Return the entries that were appended and not committed: something broke off."""
    return read(root)[len(committed(root)) :]


def commits(root: Path) -> list[str]:
    """Return the commit that brought each entry, as far as they are committed."""
    found: list[str] = []
    for commit, text in history.versions(root, chain.PATH):
        found += [commit] * (text.count("\n") - len(found))
    return found


def read(root: Path) -> tuple[Entry, ...]:
    """Return all entries, after the chain and git's memory of it were checked; none if none ever."""
    path = root / chain.PATH
    has_git = history.there(root)
    if not path.is_file():
        if has_git:
            history.refuse_shallow(root)
        if has_git and history.ever_had(root, chain.PATH):
            raise SecurityRefusal(
                f"{chain.PATH}: gone, and git's history has it; {chain.RESTORE}, or switch to the"
                " branch that has it."
            )
        return ()
    text = path.read_bytes().decode(errors="replace")
    entries = chain.parse(text)
    for commit, earlier in history.versions(root, chain.PATH) if has_git else ():
        if refused := chain.unaltered(text, earlier, commit):
            raise refused
    return entries


def begun(root: Path, *, bootstrap: bool) -> tuple[Entry, ...]:
    """Return all entries where there is a ledger; none where one is to be begun."""
    entries = read(root)
    if bootstrap and entries:
        raise ConfigError(
            f"--bootstrap: {chain.PATH} is there, with {len(entries)} entries; leave it out."
        )
    if not bootstrap and not entries:
        raise ConfigError(
            f"{chain.PATH}: not there, and git never had one; for the first release of a project"
            " run `cll release --bootstrap`."
        )
    return entries


def append(root: Path, entry: Entry) -> None:
    """Append one entry: the whole file is written anew beside it, and takes its place."""
    path = root / chain.PATH
    before = path.read_bytes() if path.is_file() else b""
    store.write_bytes(path, before + chain.line(entry).encode() + b"\n")
