"""The record of one run: arrays, layout, file format, imported decisions."""

from tokviz.trace.from_file import open_trace
from tokviz.trace.trace import Trace

__all__ = ["Trace", "open_trace"]
