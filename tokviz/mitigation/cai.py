"""CAI: answer with the heads turned as they are when the model describes the picture."""

from typing import Annotated, Literal

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import HeadShift, Recipe
from tokviz.options import Range

CAPTIONS = {"detail": "Describe this image in detail.", "plain": "what is in the picture ?"}
"""Prompts that ask for a description; the second is one that the embedded model was trained on."""


@mitigation(
    "cai",
    title="CAI",
    kinds=("heads",),
    paper="https://arxiv.org/abs/2506.23590",
    year=2025,
    verified=False,
)
def cai(
    *,
    alpha: Annotated[float, Range(0, 5, 0.05)] = 1.0,
    heads: Annotated[float, Range(0, 1, 0.01)] = 0.1,
    caption: Literal["detail", "plain"] = "detail",
) -> Recipe:
    """Move the heads that look at the picture for a caption towards what they put out for one.

    Caption-sensitive attention intervention. The picture is read with a prompt that asks for a
    description and with the question. The share `heads` of all heads, those whose last row's
    attention to the picture grows most under the description, get alpha times the difference of
    both outputs added, at the last row of the prompt and at every new token. A head that does not
    look more is never chosen. `caption` = detail asks "Describe this image in detail.", plain asks
    "what is in the picture ?", which the embedded model knows. alpha = 0 is the plain answer. The
    difference is that of all visual tokens, also where a method removes some. Extra cost: two more
    prefills.

    A stand-in: no code was found, the publication picks the heads by probes that are trained on
    many pictures and adds mean shifts over these; here the picture asked about is the only sample,
    and the share of heads and alpha are ours.
    """
    if alpha == 0 or heads == 0:
        return Recipe()
    return Recipe(shift=HeadShift(alpha, heads, CAPTIONS[caption]))
