"""The context of one call of a model: its lock and state, errors of others in plain words."""

from __future__ import annotations

import logging
from typing import Any

import torch

from tokviz.errors import ModelError, TokvizError
from tokviz.models.foreign_errors import at_run, raised_by
from tokviz.models.model_state import ModelState
from tokviz.models.out_of_memory import OUT_OF_MEMORY, is_out_of_memory

log = logging.getLogger(__name__)


class ModelLock:
    """Holds a model for one call, in the state that tokviz computes in."""

    def __init__(
        self, lock: Any, state: ModelState, gradients: bool = False, goes_on: bool = False
    ) -> None:
        """Args: the model's lock and state; see `ModelState.enter` for the others."""
        self.lock, self.state = lock, state
        self.gradients, self.goes_on = gradients, goes_on
        self.modes: list[Any] = []

    def __enter__(self) -> None:
        self.lock.acquire()
        self.state.enter(self.gradients, self.goes_on)
        # inference mode turns autograd off; it may be on outside, so it is turned off by its name
        self.modes = [torch.inference_mode(not self.gradients)]
        if self.gradients:
            self.modes.append(torch.enable_grad())
        for mode in self.modes:
            mode.__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        for mode in reversed(self.modes):
            mode.__exit__(None, None, None)
        self.state.leave()
        self.lock.release()
        if is_out_of_memory(error):
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            raise ModelError(OUT_OF_MEMORY) from error
        package = raised_by(error) if isinstance(error, Exception) else None
        if package and not isinstance(error, TokvizError):
            log.warning("%s failed while a model ran", package, exc_info=error)
            raise ModelError(at_run(error, package)) from error
