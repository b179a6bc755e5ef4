"""What does the answer lose when one block of the image is removed?"""

from typing import Annotated

from tokviz.analysis.blocks import (
    BATCH,
    Score,
    all_players,
    block_count,
    block_game,
    block_numbers,
    spread_over_tokens,
)
from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result, number
from tokviz.analysis.supplied import Progress, plain
from tokviz.options import Range
from tokviz.trace import Trace


@analysis(
    "leave_out",
    title="Leave one block out",
    group="what the answer needs",
    needs=(),
    asks=("score",),
    may_ask=("progress",),
    forwards=lambda size, side: block_count(size.layout, side) + 1,
    meaning="Positive = without this block of tokens the answer becomes less probable.",
    not_meaning="Two blocks that show the same thing both get 0, since either is enough; the "
    "values do not add up to the whole.",
    exactness="exact",
    cost="One forward per block and one of the whole, eight at a time. Memory: up to eight "
    "prefills.",
)
def leave_out(
    trace: Trace,
    score: Score,
    progress: Progress | None = None,
    *,
    side: Annotated[int, Range(1, 16, 1)] = 2,
) -> Result:
    """Remove each block of side x side tokens in turn and score the answer again (captum).

    The tokens are removed from the sequence, not masked. A block's loss is shared evenly among
    its tokens.
    """
    from captum.attr import FeatureAblation

    block = block_numbers(trace.layout, side)
    count = block_count(trace.layout, side)
    game = block_game(score, block, count + 1, progress)
    found = FeatureAblation(game).attribute(
        all_players(count), baselines=0, perturbations_per_eval=BATCH
    )
    loss = plain(found)[0]
    parts = {
        "blocks": Part(loss, "i", "loss of log-probability per block"),
        "block": Part(block, "n", "block of each token; -1 = none"),
        "forwards": number(count + 1, "forwards that were run"),
    }
    return Result(spread_over_tokens(loss, block), "n", parts)
