"""Conversion of errors of Hydra and OmegaConf to one-line errors with an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import (
    InterpolationKeyError,
    OmegaConfBaseException,
    UnsupportedInterpolationType,
)

from cll.config import safety
from cll.types.errors import CllError, ConfigError, SecurityRefusal


@contextmanager
def one_line() -> Iterator[None]:
    """Convert errors of Hydra and OmegaConf that the block raises to a CllError."""
    try:
        yield
    except MissingConfigException as error:
        name = error.missing_cfg_file
        raise ConfigError(
            f"conf/{name}.yaml: no such file, though it is chosen; restore it, or choose another."
        ) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise _ours(error) from None


def _ours(error: Exception) -> CllError:
    """Return the CllError for an error of Hydra; a disabled resolver gives a SecurityRefusal."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, UnsupportedInterpolationType):
            name = str(cause).split("\n", 1)[0].rsplit(" ", 1)[-1]
            return safety.resolver_refusal(_key(cause), name)
        if isinstance(cause, InterpolationKeyError) and "'hydra." in str(cause):
            return SecurityRefusal(
                f"{_key(cause)}: ${{hydra.*}} is refused; it holds the time and the machine's folders."
            )
    cause = next((cause for cause in causes if str(cause).strip()), error)
    return ConfigError(first_line(cause))


def _key(error: OmegaConfBaseException) -> str:
    """Return the key that an error is about; OmegaConf gives none within a list of defaults."""
    return "defaults" if error.full_key in {None, "", "_dummy_"} else str(error.full_key)


def first_line(error: BaseException) -> str:
    """Return the first line of an error, as a sentence."""
    line = str(error).strip().split("\n", 1)[0].rstrip(".")
    return f"{line}."
