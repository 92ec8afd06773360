"""Compilation of loops over rows with Numba, where NumPy has no function for them.

Compiled loops add in the written order and fuse no operations, so their results equal those of the
same loop in Python to the bit, on any processor. Numba's cache on disk is valid while the loop's own
file is unchanged, so a loop calls only functions of its own file. Numba takes half a second to
import; so modules import these files inside the functions that use them.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit, types

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(*signature: Any) -> Callable[[Kernel], Kernel]:
    """Return a decorator that compiles a loop, which then runs without the interpreter's lock.

    With a signature the loop is compiled at import and cached on disk; without, at its first call.
    """

    def compile_kernel(kernel: Kernel) -> Kernel:
        options = {"nogil": True, "error_model": "numpy"}
        try:
            return njit(*signature, cache=bool(signature), **options)(kernel)  # type: ignore[no-any-return]
        except RuntimeError:  # neither this folder nor the user's cache folder is writable
            return njit(*signature, **options)(kernel)  # type: ignore[no-any-return]

    return compile_kernel


def readonly_array(element: types.Type) -> types.Type:
    return types.Array(element, 1, "C", readonly=True)


FLOATS, INTEGERS = readonly_array(types.float64), readonly_array(types.int64)
