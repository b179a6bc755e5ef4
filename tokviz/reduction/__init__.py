"""Token reduction methods: signals -> Reduction, one file per method.

Adding one takes one file with one decorated function; nothing else is edited.
"""

from tokviz.reduction.method import METHODS, Method, Option, Range, Stage, method, reduce

__all__ = ["METHODS", "Method", "Option", "Range", "Stage", "method", "reduce"]
