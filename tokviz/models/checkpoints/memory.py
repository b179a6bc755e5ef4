"""How much memory is free, checked before loading: the system kills a program that takes more."""

from __future__ import annotations

from pathlib import Path

from tokviz.torch_on_use import torch

MEMINFO, GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def free_bytes(device: str) -> int | None:
    """Return the bytes of memory that are free on a device; None if not known."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    if device != "cpu":
        return None
    known = [left for left in (_machine(), _container()) if left is not None]
    return min(known, default=None)


def _machine() -> int | None:
    """Return the bytes that Linux reports as available; None on other systems."""
    if not MEMINFO.is_file():
        return None
    lines = (line.split() for line in MEMINFO.read_text().splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:"), None)


def _container() -> int | None:
    """Return the bytes left in a container with a limit (cgroup 2); cached files count as free."""
    try:
        limit, used = ((GROUP / f"memory.{name}").read_text() for name in ("max", "current"))
        stat = dict(line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    cached = int(stat.get("inactive_file", 0))
    return None if limit.strip() == "max" else max(int(limit) - int(used) + cached, 0)
