"""The model ran out of memory: how such errors are recognised, and the sentence for the user."""

from __future__ import annotations

import torch

OUT_OF_MEMORY = "the model ran out of memory: use a smaller image, fewer lanes or fewer tokens."
SIGNS = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
"""Parts of PyTorch's messages for errors that have no type of their own."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error means too little memory, on a CPU or a GPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)
