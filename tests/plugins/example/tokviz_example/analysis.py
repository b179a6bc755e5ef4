"""Does the model look at the middle of the picture?"""

import numpy as np

from tokviz.analysis import Result, analysis
from tokviz.trace import Trace


@analysis(
    "example_middle",
    title="Attention to the middle",
    needs=("attention",),
    meaning="The share of the image attention that falls on the middle half of the picture.",
    not_meaning="It does not say that the middle decided the answer.",
    exactness="exact",
    cost="No further run.",
)
def example_middle(trace: Trace) -> Result:
    """Show for every answer token and layer how much image attention is in the middle."""
    width, height = trace.layout.sizes[0]
    box = trace.layout.box
    centre = np.stack([box[:, 0] + box[:, 2], box[:, 1] + box[:, 3]], -1) / (2 * width, 2 * height)
    middle = (np.abs(centre - 0.5) <= 0.25).all(-1)
    attention = trace["attention"].astype(np.float32)
    share = attention[..., middle].sum(-1) / np.maximum(attention.sum(-1), 1e-12)
    return Result(share, "t l", labels={"t": trace.answer_tokens})
