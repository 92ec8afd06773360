"""The errors a user can meet: each says what was found, where, and the way out, in one line."""


class CllError(Exception):
    """Something the user can mend; `exit_code` is what the process ends with."""

    exit_code = 1


class ConfigError(CllError):
    """A key, choice or value in conf/, params.yaml, world.yaml or on the command line is wrong."""

    exit_code = 2


class DataRefused(CllError):  # noqa: N818  the design's word for it
    """The data can't be trusted, so nothing is learnt from it."""

    exit_code = 3


class SecurityRefusal(CllError):  # noqa: N818  the design's word for it
    """A file or config would run code, leak a secret, or is not what its checksum says."""

    exit_code = 4


class Busy(CllError):  # noqa: N818  the design's word for it
    """Another process is changing this project."""

    exit_code = 5


class Unavailable(CllError):  # noqa: N818  the design's word for it
    """A source or remote is not there, or does not answer."""

    exit_code = 6


class Rejected(CllError):  # noqa: N818  the gate's word for it
    """The gate says no, so nothing is released."""

    exit_code = 10


class Undecided(CllError):  # noqa: N818  no error of anyone's
    """The gate has not enough evidence, so nothing is released."""

    exit_code = 11


class Stopped(CllError):  # noqa: N818  no error of anyone's
    """A job was ended early, since others were better at the same point."""

    exit_code = 0


def of_the_system(error: OSError) -> Unavailable:
    """Say what the disk or the system refused; a full disk names no file."""
    where = error.filename2 or error.filename
    reason = error.strerror or str(error) or type(error).__name__
    return Unavailable(": ".join([*([str(where)] if where else []), f"{reason}; see to it."]))


def config_error(key: str, found: object, way_out: str) -> ConfigError:
    """Build the one-line error of a component that refuses its own settings."""
    return ConfigError(f"{key}={found}: {way_out}")
