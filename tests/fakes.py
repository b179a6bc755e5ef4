"""A run small enough to check in the head: six visual tokens on a 2×3 grid, three answer tokens."""

import numpy as np

from tokviz.matrix import Reduction
from tokviz.trace import Trace
from tokviz.trace.layout import Layout, Tile
from tokviz.trace.stages import StageRecord
from tokviz.trace.to_file import layout_arrays


def six_token_layout():
    """A 30×20 image, seen whole; every token is 10×10 pixels."""
    return Layout(
        sizes=((30, 20),),
        tiles=(Tile(0, 2, 3, (0.0, 0.0, 30.0, 20.0)),),
        tile=np.zeros(6, np.int16),
        row=np.array([0, 0, 0, 1, 1, 1], np.int16),
        col=np.array([0, 1, 2, 0, 1, 2], np.int16),
        kind=np.zeros(6, np.uint8),
        position=np.arange(1, 7, dtype=np.int32),
    )


def six_token_trace(reduction=None, prompt="is there a dog ?"):
    """What an engine would return. `reduction` is over the six tokens; None = none was done."""
    layout = six_token_layout()
    stages = () if reduction is None else (StageRecord("fake", "before", None, reduction, 0.001),)
    words = prompt.split()
    return Trace(
        prompt=prompt,
        answer="yes .",
        model={"name": "fake", "family": "fake", "layers": 2, "heads": 2},
        layout=layout,
        prompt_tokens=("<bos>", *["<image>"] * 6, *words),
        answer_tokens=("yes", ".", "<eos>"),
        arrays={
            **layout_arrays(layout),
            "answer_ids": np.array([7, 8, 2], np.int32),
            "answer_prob": np.array([0.75, 0.5, 1.0], np.float32),
        },
        stages=stages,
        timings={"encode": 0.1, "prefill": 0.2, "decode": 0.3, "first_token": 0.3, "total": 0.6},
        kv_bytes=1000,
        notes=("a note for the reader.",),
    )


def two_kept_two_merged_two_pruned():
    """Tokens 0 and 1 stay, 2 and 3 become one, 4 and 5 go."""
    return Reduction.from_entries([0, 1, 2, 2], [0, 1, 2, 3], [1, 1, 0.5, 0.5], 6, 3, [0, 1, 2])
