"""What is written down of each job of `cll run`: what it was asked for, and what came of it."""

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
_DEEP = 4  # folders below the one that is asked for: outputs/DAY/TIME


Status = Literal["done", "stopped", "failed"]  # stopped: early, by the sweeper


@dataclass(frozen=True)
class Job:
    """One experiment: `figure` is the gate's metric out of fold, which ranks it."""

    overrides: tuple[str, ...]
    status: Status
    says: str = ""
    exit_code: int = 0
    figure: float | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    losses: tuple[float, ...] = ()  # out of fold so far, after each fold


@dataclass
class Record:
    """A job that runs: what is known of it so far."""

    figure: float | None = None
    losses: list[float] = field(default_factory=list)


@contextmanager
def recorded(folder: Path, overrides: Sequence[str]) -> Iterator[Record]:
    """Write down what becomes of a job, also if it is refused; the error goes on."""
    wall, spent, record = time.perf_counter(), time.process_time(), Record()
    (folder / JOB).unlink(missing_ok=True)  # of a job that was broken off here

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
    """Read what became of the job in `folder`; None if it did not end."""
    if not (folder / JOB).is_file():
        return None
    try:
        return TypeAdapter(Job).validate_python(disk.read_json(folder / JOB))
    except ValidationError:
        raise DataRefused(f"{folder / JOB}: not what a job writes; run it again.") from None


def lost(folder: Path, overrides: Sequence[str], says: str, exit_code: int = 1) -> None:
    """Write down that a job ended without a word of its own."""
    job = Job(tuple(overrides), "failed", says, exit_code)
    disk.write_json(folder / JOB, asdict(job))


def found(folder: Path) -> list[tuple[Path, Job]]:
    """List the jobs in `folder`, or some folders below it, in their order."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; name a sweep's, like multirun/DAY/TIME.")
    depths = ("/".join([*["*"] * depth, JOB]) for depth in range(_DEEP))
    places = {path.parent for pattern in depths for path in folder.glob(pattern)}
    return [(place, job) for place in sorted(places, key=_natural) if (job := read(place))]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Let 10 come after 9."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def begin(folder: Path, arguments: Sequence[str], made_of: Mapping[str, str]) -> None:
    """Write down what a sweep was asked for, and what it is made of."""
    told = {"arguments": list(arguments), "made_of": dict(made_of)}
    disk.write_bytes(folder / SWEEP, disk.checked_bytes(told))


def begun(folder: Path) -> dict[str, Any]:
    """Read what a sweep was asked for."""
    if not (folder / SWEEP).is_file():
        raise ConfigError(
            f"{folder}: no sweep began here ({SWEEP} is missing); name the folder of one."
        )
    try:
        return disk.read_checked(folder / SWEEP)
    except CllError as error:
        found = str(error).partition("; ")[0]
        raise type(error)(f"{found}; begin the sweep anew.") from None
