"""A lane's time: the seconds of one answer, from the measurements of its parts.

Two identities hold for every trace, with any plan:

    first_token = encode + decide + prefill (+ the prefill of the contrast branch)
    total       = first_token + decode (+ the decode steps of the contrast branch)

A decision inside the language model is made while the prompt is read: its time is part of `decide`
and is taken off `prefill`.
"""

from __future__ import annotations

from statistics import median

from tokviz.models.before.prefill_input import PrefillInput
from tokviz.models.decoder.lane import Lane
from tokviz.models.runs.contrast import ContrastBranch


def answer_timings(
    prefill_input: PrefillInput, lane: Lane, contrast: ContrastBranch | None = None
) -> dict[str, float]:
    """Return the seconds of one answer so far, by the names of a trace's `timings`.

    Args:
        prefill_input: has the time of the vision tower and of decisions before the model.
        lane: has the time of prefill, decode steps, and decisions inside the model.
        contrast: the branch of contrastive decoding, if there is one.
    """
    decided_inside = sum(record.seconds for record in lane.stages.records())
    seconds = {
        "encode": prefill_input.encode_seconds,
        "decide": prefill_input.decide_seconds + decided_inside,
        "prefill": lane.prefill_seconds - decided_inside,
        "decode": lane.decode_seconds,
    }
    first = seconds["encode"] + seconds["decide"] + seconds["prefill"]
    branch_prefill = branch_decode = 0.0
    if contrast is not None:
        branch_prefill, branch_decode = contrast.prefill_seconds, contrast.decode_seconds
        seconds["contrast"] = branch_prefill + branch_decode
    seconds["first_token"] = first + branch_prefill
    seconds["total"] = seconds["first_token"] + lane.decode_seconds + branch_decode
    if lane.shared_words:
        seconds["shared"] = lane.shared_seconds
        # without a batch, each token of a shared step would take about a median step alone
        if lane.steps_alone:
            own = sum(lane.steps_alone) + lane.shared_words * median(lane.steps_alone)
            seconds["total_alone"] = first + own
    return seconds
