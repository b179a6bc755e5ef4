"""Analyses: what does a run show about its visual tokens? One file each, pure functions of a trace.

    result = tokviz.analyse("tam", trace)
    result.values, result.axes, result.meaning, result["words"].values

Most need only a stored trace and numpy. An analysis that needs further runs of the model names
what it asks for (see `ASKS`) and gets it through `runs`.
"""

from tokviz.analysis.declare import ANALYSES, ASKS, Analysis, Size, analyse, analysis
from tokviz.analysis.result import Part, Result

__all__ = ["ANALYSES", "ASKS", "Analysis", "Part", "Result", "Size", "analyse", "analysis"]
