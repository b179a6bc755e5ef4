"""The context of a model's calls: its lock, autograd on or off, a plain out-of-memory error."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch

from tokviz.errors import ModelError
from tokviz.models.out_of_memory import OUT_OF_MEMORY, is_out_of_memory


class ModelLock:
    """Context manager that locks a model, and sets autograd."""

    def __init__(self, lock: Any, gradients: bool = False) -> None:
        """Args: the model's lock; whether gradients are needed."""
        self.lock, self.gradients, self.modes = lock, gradients, ExitStack()

    def __enter__(self) -> None:
        self.lock.acquire()
        self.modes.enter_context(torch.inference_mode(not self.gradients))
        self.modes.enter_context(torch.set_grad_enabled(self.gradients))

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.modes.close()
        self.lock.release()
        if is_out_of_memory(error):
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            raise ModelError(OUT_OF_MEMORY) from error
