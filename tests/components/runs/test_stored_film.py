"""The stored film opens without a model: its frames, their times, and what each method kept."""

import numpy as np

from components.answering.widget_values import explorer, stored_lanes
from components.runs.runs import FULL
from components.runs.stored_examples import StoredExamples
from tokviz.film import Film
from tokviz.view.recipe import why_not


def test_the_stored_film_opens_without_a_model():
    example = StoredExamples().all["film"]
    run = example.run
    assert isinstance(run.image, Film)
    assert "random" in example.tag
    assert "mean nothing" in example.note
    images = run.traces[FULL].layout.sizes
    assert len(images) * 2 == len(run.image) == 8
    value = stored_lanes(run)
    assert [plan["method"] for plan in value["plans"]] == ["evs", "vidcom2", "fastv"]
    evs = run.traces[0]
    kept = np.bincount(evs.layout.image[evs.reduction.kept], minlength=4)
    assert kept[0] == evs.n // 4
    assert explorer(run) is not None
    assert "under no name that tokviz.load knows" in why_not(evs)
