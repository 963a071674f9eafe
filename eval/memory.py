"""Memory that is not needed any more, given back."""

import ctypes
import gc
from contextlib import suppress


def sort_out_garbage() -> None:
    """Free what nobody refers to any more.

    What is left was mostly imported and stays: until the next time it is not gone through again, which would take
    longer than what is found is worth.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    give_back_memory()


def give_back_memory() -> None:
    """Give what was freed to the machine, where the C library can."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
