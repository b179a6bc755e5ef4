"""The clock of all timings of a run: it waits for the GPU, which works on after a call returns."""

from __future__ import annotations

import time

import torch


def now(device: torch.device) -> float:
    """Return `time.perf_counter()` after a device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
