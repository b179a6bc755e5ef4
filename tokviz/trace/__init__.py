"""The frozen record of one run: arrays, layout, file format, imported decisions."""

from tokviz.trace.trace import Trace, open_trace

__all__ = ["Trace", "open_trace"]
