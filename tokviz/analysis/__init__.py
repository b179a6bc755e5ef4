"""Analyses: what does a run tell about its visual tokens? One file each, pure functions of a trace.

    result = tokviz.analyse("tam", trace)
    result.values, result.axes, result.meaning, result["words"].values

Most need nothing but a stored trace and numpy. Those that need further runs of the model name what
they ask for (see `ASKS`) and get it through `runs`.
"""

from tokviz.analysis.declare import ANALYSES, ASKS, Analysis, Size, analyse, analysis
from tokviz.analysis.result import Part, Result

__all__ = ["ANALYSES", "ASKS", "Analysis", "Part", "Result", "Size", "analyse", "analysis"]
