"""How much did a reduction change the state from which the answer begins?

The measure is the cosine between the last prompt row's final state with and without the reduction.
It needs no answer, and VFlowOpt searches its schedule by it.
"""

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Result, number
from tokviz.errors import InputError
from tokviz.evaluation.same_answer import same_answer
from tokviz.trace import Trace


@analysis(
    "fidelity",
    title="Fidelity of the last state",
    group="what the answer needs",
    needs=("last_state",),
    asks=("full",),
    forwards=lambda size, **options: 1,
    meaning="1 = the reduction left the state that the first answer token is chosen from as it "
    "was.",
    not_meaning="A high value does not promise the same answer: a small turn can change the most "
    "probable word, and later words can differ.",
    exactness="exact",
    cost="One prefill with all tokens, one with the reduction. Memory: one state of each.",
)
def fidelity(trace: Trace, full: Trace) -> Result:
    """Compare the last prompt row's final state with that of the run with all tokens."""
    ours, theirs = (run["last_state"].astype(np.float64) for run in (trace, full))
    if ours.shape != theirs.shape:
        raise InputError("the full run is of another model.")
    norm = np.linalg.norm(ours) * np.linalg.norm(theirs)
    cosine = ours @ theirs / norm if norm > 0 else np.nan
    parts = {
        "damage": number(1 - cosine, "1 minus the cosine"),
        "same_answer": number(same_answer(trace.answer, full.answer), "the answer stayed the same"),
    }
    return Result(np.asarray(cosine), "", parts)
