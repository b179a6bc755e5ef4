"""The state of one answer while it is being written, for callers; the trace comes at the end."""

from __future__ import annotations

from dataclasses import dataclass

from tokviz.trace.trace import Trace


@dataclass
class LaneView:
    """The state of a lane while it is being written; updated before every yield."""

    label: str
    text: str = ""
    tokens: tuple[str, ...] = ()
    done: bool = False
    error: str | None = None
    "A sentence for the user if this lane could not be run; the other lanes continue."
    visual_tokens: int = 0
    total_visual_tokens: int = 0
    kv_bytes: int = 0
    timings: dict[str, float] | None = None
    "Seconds so far, as in a trace: see `timings` in docs/trace_format.md."
    trace: Trace | None = None
    previews: tuple[bytes, ...] = ()
    "JPEG previews of the prompt's pictures, as traces hold them; in the first lane only."
    finish: str = ""
    "Why the answer ended, a key of `tokviz.trace.stages.FINISHES`; empty while it is written."
