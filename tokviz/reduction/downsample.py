"""A smaller picture: is the simplest way to fewer tokens good enough?"""

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import method


@method(
    "downsample",
    title="Smaller picture",
    place="picture",
    effect="shrink",
    kind="merge",
    needs=(),
    adaptive=True,
    images="together",
)
def downsample(signals, keep: int) -> Reduction:
    """Shrink the picture before the processor, until the model makes at most `keep` tokens of it.

    The honest baseline: VTC-Bench (arXiv 2510.07143) finds that it beats many methods. The picture
    is really made smaller (all of several pictures by the same factor, with the aspect ratio kept,
    bicubic), so the vision tower saves time too. The largest size within the budget is taken; the
    count may be below the budget, since tokens come in whole rows and columns or in whole tiles.

    A model that makes the same number of tokens of every picture (LLaVA-1.5) cannot gain by it; the
    run says so. No array decides here: the tokens are those of another picture.
    """
    raise InputError(
        "the smaller picture is made before there are any tokens, so it cannot be decided from "
        "arrays: run vlm.answer(image, prompt, tokviz.plan('downsample', keep=...))."
    )
