"""Folders of partitions that are renewed in part: what stands is kept, the rest is swapped in.

A partition stands when the manifest says that it was made of the same things, and its bytes are
those of the manifest. Whatever is made anew is staged beside the folder, and nothing of the folder
is touched before all of it is there and was found good.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl

from cll.system import disk, frames, links
from cll.system import manifest as system_manifest
from cll.system.stat_cache import Memo
from cll.types.errors import CllError

STAGING = ".staging-"
SHARED = (
    "code",
    "config",
    "libraries",
)  # of a folder's key: what all of its partitions follow from
NAMED = 5  # days that are told by name
NEW, OTHERS, DAMAGED = "new", "other records", "damaged or missing"


class Renewal:
    """One renewal of a folder: `keep` each partition that stands, `add` the others, `publish`.

    A partition that stands in one of `seeds`, folders of the same kind, need not be made again.
    """

    def __init__(
        self, folder: Path, key: Mapping[str, Any], memo: Memo, seeds: Sequence[Path] = ()
    ) -> None:
        self._folder, self._memo = folder, memo
        self._key = dict(key)
        self._common = _common(key)
        stand = [folder, *(seed for seed in seeds if seed != folder)]
        self._standing = [Standing(one) for one in stand]
        self.staging = folder.parent / f"{STAGING}{os.getpid()}"
        self._files: dict[str, str] = {}
        self._staged: dict[str, str] = {}
        self.partitions: dict[str, Any] = {}  # what is said of each, kept or made
        self.made: dict[str, list[str]] = {}  # why: which

    def __enter__(self) -> Self:
        links.refuse_on_way(self._folder.parent, self._folder)
        links.refuse_folders_inside(self._folder)
        sweep(self._folder.parent, STAGING)
        self.staging.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        links.remove(self.staging, ignore_errors=True)

    @property
    def scratch(self) -> Path:
        """Where a renewal may put what it needs on its way; it goes with it."""
        folder = self.staging / "scratch"
        folder.mkdir(exist_ok=True)
        return folder

    def known(self, what: str) -> dict[str, Any]:
        """Return a fact of the folder as it stands, where it still follows from the same things."""
        facts: dict[str, Any] = {}
        for one in reversed(self._standing):
            if one.common == self._common:
                facts |= one.facts.get(what, {})
        return facts

    def keep(self, date: str, made_of: object) -> bool:
        """Keep a partition that stands; of another, note why it has to be made."""
        wanted = self._made_of(made_of)
        for one in self._standing:
            entry, files = one.partitions.get(date), one.files.get(date, {})
            if entry is None or entry["made_of"] != wanted or not self._sound(one.folder, files):
                continue
            for name, digest in files.items():
                if one.folder != self._folder:
                    # No hard link: DVC copies what has two names before each run of its stage.
                    (self.staging / name).parent.mkdir(exist_ok=True)
                    shutil.copyfile(one.folder / name, self.staging / name)
                    self.put(name, digest)
                self._files[name] = digest
            self.partitions[date] = entry
            return True
        self.made.setdefault(self._why(date, wanted), []).append(date)
        return False

    def add(self, date: str, made_of: object, facts: Mapping[str, Any]) -> None:
        """Add a partition; its files, if it has rows, are staged."""
        self.partitions[date] = {**facts, "made_of": self._made_of(made_of)}

    def stage(self, name: str, frame: pl.DataFrame) -> None:
        """Write a file for `publish` to put into the folder."""
        self.put(name, frames.write_scratch(self.staging / name, frame))

    def put(self, name: str, sha256: str) -> None:
        """Take a file for `publish` that lies in `staging` already, under its name in the folder."""
        self._files[name] = self._staged[name] = sha256

    def read(self, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read a file as it will be published."""
        staged = name in self._staged
        return frames.read_frame((self.staging if staged else self._folder) / name, columns)

    def entities(self, date: str) -> set[str]:
        """Return the entities that have rows on a day."""
        names = system_manifest.parts(
            {n: d for n, d in self._files.items() if n.startswith(f"date={date}/")}
        )
        return {name for part in names for name in self.read(part, ["entity"])["entity"].unique()}

    def told(self, label: str) -> Iterator[str]:
        """Yield what is made again, and why, a line each."""
        count = len(self.partitions.keys() | {date for made in self.made.values() for date in made})
        if not self.made:
            yield f"{label}: all of {count} days stand as they are."
        for why, dates in self.made.items():
            named = ", ".join(dates[:NAMED]) + (", ..." if len(dates) > NAMED else "")
            yield f"{label}: made {len(dates)} of {count} days ({why}): {named}"

    def publish(self, facts: Mapping[str, Any]) -> None:
        """Put what was staged in its place, remove what no longer belongs, and seal the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        told = {**facts, "partitions": self.partitions}
        # Written while the folder is still as it was: a disk that is full now leaves it so.
        system_manifest.write_manifest(self.staging, self._key, told, self._files)
        disk.flush([self.staging / name for name in self._staged])
        for name, digest in self._staged.items():
            final = self._folder / name
            if final.is_file() and self._memo.sha256(final) == digest:
                continue  # the same bytes: who watches the file need not look again
            final.parent.mkdir(exist_ok=True)
            (self.staging / name).replace(final)
            self._memo.know(final, digest)
        for path in system_manifest.files(self._folder):
            if path.relative_to(self._folder).as_posix() not in self._files:
                path.unlink()
                if path.parent != self._folder:
                    with contextlib.suppress(OSError):
                        path.parent.rmdir()  # one that is not empty stays
        (self.staging / system_manifest.MANIFEST).replace(self._folder / system_manifest.MANIFEST)
        disk.sync_folder(self._folder)
        self._memo.save()

    def _made_of(self, made_of: object) -> str:
        return disk.digest([self._common, made_of])

    def _sound(self, folder: Path, files: Mapping[str, str]) -> bool:
        try:
            return all(self._memo.sha256(folder / name) == sha for name, sha in files.items())
        except OSError:
            return False

    def _why(self, date: str, wanted: str) -> str:
        before = self._standing[0]
        entry = before.partitions.get(date)
        if entry is None:
            return NEW
        if entry["made_of"] == wanted:
            return DAMAGED
        others = [name for name in SHARED if before.key.get(name) != self._key.get(name)]
        return f"other {' and '.join(others)}" if others else OTHERS


class Standing:
    """A folder as its manifest says it is.

    Without a manifest that can be read, nothing stands; where `strict`, that is an error.
    """

    def __init__(self, folder: Path, *, strict: bool = False) -> None:
        try:
            manifest = disk.read_checked(folder / system_manifest.MANIFEST)
        except CllError:
            if strict:
                raise
            manifest = {}
        self.folder = folder
        self.key: dict[str, Any] = manifest.get("key", {})
        self.common = _common(self.key)
        self.facts: dict[str, Any] = manifest.get("facts", {})
        self.partitions: dict[str, Any] = self.facts.get("partitions", {})
        self.files: dict[str, dict[str, str]] = {}  # by date
        for name, digest in manifest.get("files", {}).items():
            day = name.partition("/")[0].removeprefix("date=")
            self.files.setdefault(day, {})[name] = digest


def _common(key: Mapping[str, Any]) -> str:
    return disk.digest({name: key.get(name) for name in SHARED})


def sweep(folder: Path, prefix: str) -> None:
    """Remove what processes that are no more left unfinished, under `prefix` and their number."""
    for path in folder.glob(f"{prefix}*"):
        pid = path.name.removeprefix(prefix).partition("-")[0]
        if not pid.isdigit() or int(pid) == os.getpid() or not _lives(int(pid)):
            links.remove(path, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
