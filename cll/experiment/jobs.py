"""Records of the jobs of `cll run`: job.json with overrides and result, and sweep.json."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from cll.system import disk
from cll.types.errors import CllError, ConfigError, DataRefused, Stopped, from_os_error

JOB, LOG, SWEEP = "job.json", "job.log", "sweep.json"
_DEEP = 4  # levels of folders that are searched for jobs: outputs/DAY/TIME


Status = Literal["done", "stopped", "failed"]  # stopped: ended early by the sweeper


@dataclass(frozen=True)
class Job:
    """Record of one ended job; `figure` is the gate's metric out of fold, which ranks it."""

    overrides: tuple[str, ...]
    status: Status
    says: str = ""
    exit_code: int = 0
    figure: float | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    losses: tuple[float, ...] = ()  # log loss out of fold so far, after each fold


@dataclass
class Record:
    """Results so far of a running job."""

    figure: float | None = None
    losses: list[float] = field(default_factory=list)


@contextmanager
def recorded(folder: Path, overrides: Sequence[str]) -> Iterator[Record]:
    """Write job.json at the end of the `with` block, also after an error, which is raised again."""
    wall, spent, record = time.perf_counter(), time.process_time(), Record()
    (folder / JOB).unlink(missing_ok=True)  # left by an interrupted job in the same folder

    def write(status: Status, error: CllError | None = None) -> None:
        job = Job(
            tuple(overrides),
            status,
            str(error or ""),
            error.exit_code if error else 0,
            record.figure,
            round(time.perf_counter() - wall, 3),
            round(time.process_time() - spent, 3),
            tuple(record.losses),
        )
        disk.write_json(folder / JOB, asdict(job))

    try:
        yield record
    except Stopped as error:
        write("stopped", error)
        raise
    except (CllError, OSError) as error:
        write("failed", error if isinstance(error, CllError) else from_os_error(error))
        raise
    except Exception as error:
        bug = CllError(f"{type(error).__name__}: {error}".partition("\n")[0])
        write("failed", bug)
        raise
    write("done")


def read(folder: Path) -> Job | None:
    """Read the record of the job in `folder`; return None if the job did not end."""
    if not (folder / JOB).is_file():
        return None
    try:
        return TypeAdapter(Job).validate_python(disk.read_json(folder / JOB))
    except ValidationError:
        raise DataRefused(f"{folder / JOB}: not what a job writes; run it again.") from None


def lost(folder: Path, overrides: Sequence[str], says: str, exit_code: int = 1) -> None:
    """Write the record of a job whose process ended without writing one."""
    job = Job(tuple(overrides), "failed", says, exit_code)
    disk.write_json(folder / JOB, asdict(job))


def listed(folder: Path) -> list[tuple[Path, Job]]:
    """List the ended jobs in `folder` and up to three levels below it, in natural order."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; name a sweep's, like multirun/DAY/TIME.")
    depths = ("/".join([*["*"] * depth, JOB]) for depth in range(_DEEP))
    places = {path.parent for pattern in depths for path in folder.glob(pattern)}
    return [(place, job) for place in sorted(places, key=_natural) if (job := read(place))]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key by which 10 comes after 9."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def begin(folder: Path, arguments: Sequence[str], made_of: Mapping[str, str]) -> None:
    """Write sweep.json: the command line of a sweep, and the digests of its inputs."""
    sweep = {"arguments": list(arguments), "made_of": dict(made_of)}
    disk.write_bytes(folder / SWEEP, disk.checked_bytes(sweep))


def begun(folder: Path) -> dict[str, Any]:
    """Read a sweep's command line and digests."""
    if not (folder / SWEEP).is_file():
        raise ConfigError(
            f"{folder}: no sweep began here ({SWEEP} is missing); name the folder of one."
        )
    try:
        return disk.read_checked(folder / SWEEP)
    except CllError as error:
        message = str(error).partition("; ")[0]
        raise type(error)(f"{message}; begin the sweep anew.") from None
