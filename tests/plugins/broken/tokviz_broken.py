"""Registers a method and then fails."""

from tokviz.matrix import Reduction
from tokviz.reduction.method import method


@method("half", title="Half", place="before", needs=("feats_post",))
def half(signals, keep: int) -> Reduction:
    """Keep the first tokens."""
    return Reduction.select(list(range(keep)), signals.n)


raise RuntimeError("this plugin was made for another version")
