"""The clock that timings of a run are read from: a GPU works on after a call has returned."""

from __future__ import annotations

import time

import torch


def now(device: torch.device) -> float:
    """Return the seconds of `time.perf_counter` once a device has done all that it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
