"""Errors that a user can meet; each message names the finding, the place and the way out."""

import errno


class CllError(Exception):
    """An error that the user can fix; the process ends with its `exit_code`."""

    exit_code = 1


class ConfigError(CllError):
    """A key, choice or value in conf/, params.yaml, world.yaml or on the command line is wrong."""

    exit_code = 2


class DataRefused(CllError):  # noqa: N818  the name used in the docs
    """The data are faulty, so no model is trained on them."""

    exit_code = 3


class SecurityRefusal(CllError):  # noqa: N818  the name used in the docs
    """A file or config would run code or leak a secret, or does not match its checksum."""

    exit_code = 4


class Busy(CllError):  # noqa: N818  the name used in the docs
    """Another process is changing this project."""

    exit_code = 5


class Unavailable(CllError):  # noqa: N818  the name used in the docs
    """A source or remote is not there, or does not answer."""

    exit_code = 6


class Rejected(CllError):  # noqa: N818  the gate's word for it
    """The gate rejected the candidate, so nothing is released."""

    exit_code = 10


class Undecided(CllError):  # noqa: N818  a result, not a fault
    """The gate lacks the evidence to decide, so nothing is released."""

    exit_code = 11


class Stopped(CllError):  # noqa: N818  a result, not a fault
    """A job was ended early, since other jobs were better after as many folds."""

    exit_code = 0


def from_os_error(error: OSError) -> Unavailable:
    """Return the one-line error for an OSError; a full disk, for one, names no file."""
    where = error.filename2 or error.filename
    reason = error.strerror or str(error) or type(error).__name__
    few_files = error.errno in (errno.EMFILE, errno.ENFILE)
    way_out = "raise `ulimit -n`." if few_files else "check the disk and the permissions."
    return Unavailable(": ".join([*([str(where)] if where else []), f"{reason}; {way_out}"]))


def config_error(key: str, value: object, way_out: str) -> ConfigError:
    """Build the one-line error of a component that refuses its own settings."""
    return ConfigError(f"{key}={value}: {way_out}")
