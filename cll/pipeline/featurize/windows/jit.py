"""How loops over rows are compiled, where NumPy has no call for them.

Compiled code adds up in the order that is written and fuses nothing: its bits are those of the same
loop in Python, on any processor. What is kept goes by the stamp of the loop's own file, so a loop
calls only what that file holds. Who needs one imports its file when it does: Numba takes half a second
to come up.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit, types

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(*signature: Any) -> Callable[[Loop], Loop]:
    """Compile a loop, without the interpreter's lock; one with a signature at once, and keep it."""

    def compile_(loop: Loop) -> Loop:
        how = {"nogil": True, "error_model": "numpy"}
        try:
            return njit(*signature, cache=bool(signature), **how)(loop)  # type: ignore[no-any-return]
        except RuntimeError:  # neither this folder nor the user's cache can be written to
            return njit(*signature, **how)(loop)  # type: ignore[no-any-return]

    return compile_


def read(of: types.Type) -> types.Type:
    return types.Array(of, 1, "C", readonly=True)


FLOATS, INTEGERS = read(types.float64), read(types.int64)
