"""Mitigations: questions about missing partners, and what is called a gain."""

import pytest

import tokviz
from benchmarks import mitigations
from benchmarks.measured_model import facts, scenes, weights
from benchmarks.mitigations import PARTNER, Line
from embedded.questions import missing_partners
from embedded.wording import typed
from embedded.world import FIRST, VARIED, world_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def vlm():
    return tokviz.load("embedded")


def test_partners_are_asked_for_where_they_are_missing(vlm):
    questions, images = mitigations.asked(vlm, 3, [PARTNER])
    asked = questions[PARTNER]
    assert [one.label for one in asked] == ["yes", "no"] * 3
    assert {one.image for one in asked} <= set(images)
    view = scenes(vlm, 1, int(asked[1].image))[0]
    assert any(f" {name} " in asked[1].text for name in missing_partners(view))


def test_a_gain_is_large_enough_and_not_by_chance():
    lines = [
        Line(PARTNER, "vcd", [], 0.05, 0.01, 0.1),
        Line(PARTNER, "pai", [], 0.05, -0.01, 0.1),
        Line(PARTNER, "damro", [], 0.01, 0.005, 0.02),
        Line("popular", "sid", [], 0.05, 0.01, 0.1),
    ]
    said = mitigations.verdict(lines, PARTNER)
    assert said.startswith("missing partner: 1 of 3 mitigations gain at least 2 points")
    assert "`vcd` +5.0 (1.0 to 10.0)" in said
    assert "none of 1" in mitigations.verdict([lines[1]], PARTNER)


def test_a_model_is_asked_about_its_own_world(vlm):
    assert facts(vlm).world == getattr(vlm.model.config, "world", "varied")
    assert world_of(object()) is VARIED
    assert world_of(type("Config", (), {"world": "first"})) is FIRST


def test_facts_tell_models_apart(vlm):
    found = facts(vlm)
    assert f"{found.tokens} visual tokens per picture, {found.layers} layers" in str(found)
    assert found.weights == weights(vlm.model)
    assert typed("is there a dog ?") == "Is there a dog?"
