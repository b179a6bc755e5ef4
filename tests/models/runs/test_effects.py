"""A mitigation that changed nothing says so, with what it did where it did something."""

import pytest

import tokviz


def effect(vlm, cat, name, **options):
    trace = vlm.answer(cat, "what is this?", tokviz.plan(mitigation=name, **options), 3)
    title = tokviz.MITIGATIONS[name].title
    return [note for note in trace.notes if note.startswith(f"{title} ")]


def test_a_gate_that_never_opens_is_told(vlm, cat):
    """M3ID acts where the best word has a probability under alpha: nowhere, with a tiny alpha."""
    assert effect(vlm, cat, "m3id", alpha=1e-9) == [
        "M3ID changed no probability in this answer: what follows is the plain one."
    ]
    (said,) = effect(vlm, cat, "m3id", alpha=1.0, decay=1.0)
    assert said.startswith("M3ID changed the probabilities at 3 of 3 tokens")


def test_heads_that_all_look_at_the_image_are_left_alone_and_it_is_told(vlm, cat):
    title = tokviz.MITIGATIONS["yopo_heads"].title
    assert effect(vlm, cat, "yopo_heads", threshold=1e-9) == [
        f"{title} edited no attention in this answer: what follows is the plain one."
    ]
    assert effect(vlm, cat, "yopo_heads", threshold=2.0) == [
        f"{title} edited attention in 2 of 2 layers."
    ]


@pytest.mark.parametrize(("name", "sentences"), [("pai", 2), ("vasparse", 1), ("cmai", 1)])
def test_each_half_of_a_mitigation_says_what_it_did(vlm, cat, name, sentences):
    assert len(effect(vlm, cat, name)) == sentences


def test_the_diagnostic_changes_nothing_and_claims_nothing(vlm, cat):
    assert effect(vlm, cat, "opera") == []
