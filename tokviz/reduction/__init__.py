"""Token reduction methods: signals -> Reduction, one file per method.

A new method is one file with one decorated function; no other file changes.
"""

from tokviz.reduction.method import METHODS, Method, Option, Range, Stage, method, reduce

__all__ = ["METHODS", "Method", "Option", "Range", "Stage", "method", "reduce"]
