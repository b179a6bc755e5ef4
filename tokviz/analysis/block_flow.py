"""Between which parts of the prompt does attention flow, layer by layer?

It shows three stages of a decoder: early layers mix text and image, middle layers process each by
itself, and the last layers form the answer from the text (arXiv 2411.19628).
"""

from __future__ import annotations

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result
from tokviz.trace import Trace
from tokviz.trace.layout import Layout
from tokviz.trace.schema import BLOCKS

ANSWER = BLOCKS.index("answer")


def block_of(layout: Layout, length: int, marks: np.ndarray | None = None) -> np.ndarray:
    """Return the block of each row of a prompt, an index in BLOCKS, uint8 [s].

    Rows before the first visual token are `before`, visual tokens are `image`, and the other rows
    are `text`. Rows listed in `marks` (the array `mark_rows`) are `marks` wherever they are.
    """
    block = np.full(length, BLOCKS.index("text"), np.uint8)
    first = int(layout.position[0]) if layout.n else length
    block[:first] = BLOCKS.index("before")
    block[layout.position] = BLOCKS.index("image")
    if marks is not None:
        block[marks] = BLOCKS.index("marks")
    return block


def block_mass(attention: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Sum attention by blocks.

    Args:
        attention: [..., rows, keys], rows sum to 1.
        block: [keys], index in BLOCKS of each key; the rows are the last keys.

    Returns:
        float64 [..., b, b], mean over the rows of a block of the sum over the keys of a block; NaN
        for blocks without rows. Rows sum to 1.
    """
    # One-hot membership turns the double sum into two matrix products:
    # [b, rows] @ [..., rows, keys] @ [keys, b] -> [..., b, b].
    member = np.arange(len(BLOCKS))[:, None] == block[None]
    rows = member[:, len(block) - attention.shape[-2] :].astype(np.float64)
    count = rows.sum(1, keepdims=True)
    sums = rows @ attention.astype(np.float64) @ member.T.astype(np.float64)
    return sums / np.where(count > 0, count, np.nan)


@analysis(
    "block_flow",
    title="Attention between blocks",
    group="layer by layer",
    needs=("mass",),
    uses=("flow",),
    meaning="Each number is the share of the attention of one block's rows that goes to another "
    "block: what was read from where, layer by layer.",
    not_meaning="Attention is not influence: a large share on the first tokens is mostly a sink.",
    exactness="exact",
    cost="No further run. Memory: blocks x blocks numbers per layer.",
    paper="https://arxiv.org/abs/2411.19628",
    year=2024,
)
def block_flow(trace: Trace) -> Result:
    """Show how much attention flows between image, text and answer in each layer.

    The answer's row is the mean over its tokens and heads. Rows of the prompt need the array
    `flow`; without it they are NaN. `intensity` divides by the number of keys, so that large blocks
    have no advantage. Names of tiles and other marks that the processor writes around visual
    tokens form the block `marks`. The block sizes count the original tokens, also after a merge.
    """
    mass = trace["mass"].astype(np.float32)
    layers, _, count = mass.shape[1:]
    flow = np.full((layers, count, count), np.nan, np.float32)
    notes: tuple[str, ...] = ()
    if "flow" in trace:
        flow[:] = trace["flow"]
    else:
        notes = ("Only the rows that chose the answer were recorded.",)
    if trace.t:
        flow[:, ANSWER] = mass.mean((0, 2))
    block = block_of(trace.layout, len(trace.prompt_tokens), trace.arrays.get("mark_rows"))
    sizes = np.bincount(block, minlength=count)
    sizes[ANSWER] = max(trace.t, 1)
    parts = {
        "intensity": Part(flow / np.maximum(sizes, 1), "l b b", "the same per key of the block"),
        "image": Part(mass[..., 1].mean(2), "t l", "share on the image for each answer token"),
        "heads": Part(
            mass[..., 1].mean(0) if trace.t else np.zeros(mass.shape[1:3]),
            "l h",
            "share on the image for each head, mean over the answer",
        ),
    }
    return Result(flow, "l b b", parts, {"b": BLOCKS[:count], "t": trace.pieces}, notes)
