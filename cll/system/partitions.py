"""Incremental update of a folder of partitions: valid partitions stay, the others are replaced.

A partition is valid if the manifest states the same inputs for it and its bytes match the manifest.
New partitions are staged next to the folder. The folder is changed only after all of them are
written and checked.
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
from cll.system.stat_cache import StatCache
from cll.types.errors import CllError

STAGING = ".staging-"
SHARED = (
    "code",
    "config",
    "libraries",
)  # parts of a folder's key on which all of its partitions depend
NAMED = 5  # days that a message names
NEW, OTHERS, DAMAGED = "new", "other records", "damaged or missing"


class Renewal:
    """One update of a folder: `reuse` each valid partition, `add` the others, `publish`.

    A partition that is valid in one of `seeds`, folders of the same kind, is copied from there.
    """

    def __init__(
        self,
        folder: Path,
        key: Mapping[str, Any],
        stat_cache: StatCache,
        seeds: Sequence[Path] = (),
    ) -> None:
        self._folder, self._stat_cache = folder, stat_cache
        self._key = dict(key)
        self._common = _common(key)
        folders = [folder, *(seed for seed in seeds if seed != folder)]
        self._sealed = [SealedFolder(sealed) for sealed in folders]
        self.staging = folder.parent / f"{STAGING}{os.getpid()}"
        self._files: dict[str, str] = {}
        self._staged: dict[str, str] = {}
        self.partitions: dict[str, Any] = {}  # the facts of each day
        self.made: dict[str, list[str]] = {}  # days by the reason to make them

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
        """Return a folder for temporary files; it is removed with the renewal."""
        folder = self.staging / "scratch"
        folder.mkdir(exist_ok=True)
        return folder

    def reusable_facts(self, what: str) -> dict[str, Any]:
        """Return a fact of the existing folders whose code, config and libraries are still the same."""
        facts: dict[str, Any] = {}
        for sealed in reversed(self._sealed):
            if sealed.common == self._common:
                facts |= sealed.facts.get(what, {})
        return facts

    def reuse(self, date: str, made_of: object) -> bool:
        """Return whether the day's partition is reused; if not, record why it has to be made."""
        wanted = self._made_of(made_of)
        for sealed in self._sealed:
            entry, files = sealed.partitions.get(date), sealed.files.get(date, {})
            if entry is None or entry["made_of"] != wanted or not self._sound(sealed.folder, files):
                continue
            for name, digest in files.items():
                if sealed.folder != self._folder:
                    # No hard link: DVC copies a file with two names before each run of its stage.
                    (self.staging / name).parent.mkdir(exist_ok=True)
                    shutil.copyfile(sealed.folder / name, self.staging / name)
                    self.put(name, digest)
                self._files[name] = digest
            self.partitions[date] = entry
            return True
        self.made.setdefault(self._why(date, wanted), []).append(date)
        return False

    def add(self, date: str, made_of: object, facts: Mapping[str, Any]) -> None:
        """Add a new partition; its files are staged separately."""
        self.partitions[date] = {**facts, "made_of": self._made_of(made_of)}

    def stage(self, name: str, frame: pl.DataFrame) -> None:
        """Write a file to the staging folder, for `publish`."""
        self.put(name, frames.write_scratch(self.staging / name, frame))

    def put(self, name: str, sha256: str) -> None:
        """Register a file that already lies in the staging folder, for `publish`."""
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

    def describe(self, label: str) -> Iterator[str]:
        """Yield one line per reason, with the days that are made for it."""
        count = len(self.partitions.keys() | {date for made in self.made.values() for date in made})
        if not self.made:
            yield f"{label}: all of {count} days are up to date."
        for why, dates in self.made.items():
            named = ", ".join(dates[:NAMED]) + (", ..." if len(dates) > NAMED else "")
            yield f"{label}: made {len(dates)} of {count} days ({why}): {named}"

    def publish(self, facts: Mapping[str, Any]) -> None:
        """Move the staged files into the folder, remove obsolete files, and write the manifest."""
        self._folder.mkdir(parents=True, exist_ok=True)
        all_facts = {**facts, "partitions": self.partitions}
        # Written before the folder is changed: if the disk is full, the folder stays as it was.
        system_manifest.write_manifest(self.staging, self._key, all_facts, self._files)
        disk.flush([self.staging / name for name in self._staged])
        for name, digest in self._staged.items():
            final = self._folder / name
            if final.is_file() and self._stat_cache.sha256(final) == digest:
                continue  # the same bytes: the time of change stays, so caches that check it stay valid
            final.parent.mkdir(exist_ok=True)
            (self.staging / name).replace(final)
            self._stat_cache.record(final, digest)
        for path in system_manifest.files(self._folder):
            if path.relative_to(self._folder).as_posix() not in self._files:
                path.unlink()
                if path.parent != self._folder:
                    with contextlib.suppress(OSError):
                        path.parent.rmdir()  # a folder that is not empty stays
        (self.staging / system_manifest.MANIFEST).replace(self._folder / system_manifest.MANIFEST)
        disk.sync_folder(self._folder)
        self._stat_cache.save()

    def _made_of(self, made_of: object) -> str:
        return disk.digest([self._common, made_of])

    def _sound(self, folder: Path, files: Mapping[str, str]) -> bool:
        try:
            return all(self._stat_cache.sha256(folder / name) == sha for name, sha in files.items())
        except OSError:
            return False

    def _why(self, date: str, wanted: str) -> str:
        before = self._sealed[0]
        entry = before.partitions.get(date)
        if entry is None:
            return NEW
        if entry["made_of"] == wanted:
            return DAMAGED
        others = [name for name in SHARED if before.key.get(name) != self._key.get(name)]
        return f"other {' and '.join(others)}" if others else OTHERS


class SealedFolder:
    """The contents of a folder's manifest.

    Without a readable manifest there are no partitions or, with `strict`, the error is raised.
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
    """Remove the temporary folders (`prefix` and a process id) of processes that have ended."""
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
