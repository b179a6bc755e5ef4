"""Compares a stored run with what a model makes of the question that is given beside it."""

from __future__ import annotations

import numpy as np

from tokviz.errors import InputError
from tokviz.models.decoder.answer_rules import answer_rules
from tokviz.models.families.family import Features
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import Prepared
from tokviz.models.runs.build_trace import tower_arrays
from tokviz.models.runs.same_question import (
    check_answer,
    check_model,
    check_pictures,
    check_states,
    same_pixels,
)
from tokviz.models.runs.teacher_forcing import TeacherForcing
from tokviz.models.tower.vision import encode
from tokviz.trace import Trace


def check_question(loaded: Loaded, prepared: Prepared, trace: Trace) -> None:
    """Compare model facts, pictures and prompt with those of a trace; the model does not run.

    Raises:
        InputError: the trace is of another model, another picture or another prompt.
    """
    check_model(trace, loaded.info)
    check_pictures(trace, prepared.asked.images)
    check_prompt_ids(prepared, trace)


def check_prompt_ids(prepared: Prepared, trace: Trace) -> None:
    """Raise InputError unless a trace has the prompt of a question, token by token."""
    if not np.array_equal(prepared.asked.prompt_ids, trace["prompt_ids"]):
        raise InputError(
            "the trace is of another prompt, or of an image that gives another number of "
            "visual tokens: give the image and the prompt that it was made with."
        )


def checked_features(loaded: Loaded, prepared: Prepared, trace: Trace) -> Features:
    """Return the features of the whole image, if the tower's states are those of a trace.

    Raises:
        InputError: the states differ, as with another tower or another processor.
    """
    norms = "feature_norm" in trace
    with loaded.guarded():
        vision = encode(
            loaded.family, loaded.model, prepared.inputs, prepared.asked.layout, {}, norms
        )
        found = tower_arrays(vision, 0).get("feature_norm")
    if found is not None:
        same = same_pixels(trace, prepared.asked.images)
        check_states(trace, found, loaded.info, same)
    return vision.features


def check_own_answer(reading: TeacherForcing, features: Features, trace: Trace) -> None:
    """Read a trace's answer again, and compare the probabilities of its tokens.

    Only of runs with all tokens and without mitigation, and where no generation setting changes the
    distributions: in others these probabilities are not the model's own.

    Raises:
        InputError: they differ, as with other weights.
    """
    loaded, prepared = reading.loaded, reading.prepared
    ruled = answer_rules(loaded.model, prepared.inputs["input_ids"], trace.t) is not None
    if trace.stages or trace.mitigation is not None or ruled:
        return
    with loaded.guarded():
        found = reading.own_answer([np.arange(trace.n)], features)
        own = reading.own(found)[0].exp().cpu().numpy()
    check_answer(trace, own, loaded.info, same_pixels(trace, prepared.asked.images))
