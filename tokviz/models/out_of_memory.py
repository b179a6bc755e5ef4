"""Memory ran out while a model worked: how such an error is known, and what the user reads."""

from __future__ import annotations

import torch

OUT_OF_MEMORY = "the model ran out of memory: use a smaller image, fewer lanes or fewer tokens."
SIGNS = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
"""Words of errors that PyTorch raises without a type of their own."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error says that memory did not suffice, on a CPU or a GPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)
