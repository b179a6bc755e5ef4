"""How close a run came to its publication: three words, each from what was really supplied."""

import pytest

from tokviz.mitigation import MITIGATIONS
from tokviz.reduction import METHODS
from tokviz.reduction.parts import schedules
from tokviz.reduction.run_status import (
    AS_PUBLISHED,
    RUN_DIFFERS,
    STAND_IN,
    RunFacts,
    declared_status,
    run_status,
)

PUBLISHED = sorted(name for name, entry in METHODS.items() if entry.paper)


def status(name, supplied=None, facts=None, **options):
    entry = METHODS[name]
    return run_status(
        entry, options, entry.needs if supplied is None else supplied, facts or RunFacts()
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_with_all_that_it_needs_a_method_earns_the_word_it_declares(name):
    """What is missing or another part of the same paper is all that may lower the word."""
    entry = METHODS[name]
    chain = [name, entry.rest] if entry.rest else [name]
    defaults = dict(entry.published_options)
    assert status(name, facts=RunFacts(chain=chain), **defaults) == declared_status(entry)


@pytest.mark.parametrize(
    ("name", "need"), [(name, need) for name in PUBLISHED for need in METHODS[name].fallbacks]
)
def test_a_fallback_is_a_stand_in_unless_the_official_code_takes_it(name, need):
    entry = METHODS[name]
    supplied = {*entry.needs, entry.fallbacks[need]} - {need}
    found = status(name, supplied)
    if need in entry.official_fallbacks:
        assert found.word == declared_status(entry).word or entry.rest or entry.published_options
    else:
        assert found.word == STAND_IN
        assert f"{entry.fallbacks[need]} was read in place of {need}" in found.why


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (RunFacts(positions="keep"), "position ids: keep, published: repack"),
        (RunFacts(images=3), "3 images, where the publication decides on one"),
        (RunFacts(one_patch_each=False), "a visual token is several patches"),
        (RunFacts(chain=["divprune", "fastervlm"]), "it decided on what divprune had left"),
    ],
)
def test_what_goes_on_around_the_decision_makes_the_run_differ(facts, reason):
    found = status("fastervlm", facts=facts)
    assert found.word == RUN_DIFFERS
    assert len(found.why) == 1
    assert found.why[0].startswith(reason)
    assert found.sentence == f"FasterVLM: {RUN_DIFFERS}: {found.why[0]}."


@pytest.mark.parametrize("name", [name for name in PUBLISHED if METHODS[name].depths])
def test_layers_placed_on_another_depth_make_the_run_differ(name):
    entry = METHODS[name]
    part = "tower" if entry.place in ("tower", "before") else "language_model"
    options = {k: v for k, v in entry.published_options.items() if k in entry.options}
    for depth in entry.depths:
        same = RunFacts(layers={part: depth, "other": 3})
        assert not any("published:" in why and " of " in why for why in status(
            name, facts=same, **options
        ).why)  # fmt: skip
    found = status(name, facts=RunFacts(layers={part: 18}), **options)
    assert found.word in (RUN_DIFFERS, STAND_IN)
    if found.word == RUN_DIFFERS:
        assert any("18" in why and str(entry.depths[0]) in why for why in found.why)


@pytest.mark.parametrize("model", [("qwen2_5_vl", 16), ("qwen2_vl", 28), ("llava", 32)])
def test_hawk_differs_only_on_another_model_than_its_head_weights_are_for(model):
    """It was "run differs" on Qwen2.5-VL-7B too; Qwen2-VL-7B has 28 heads, but not these."""
    assert status("hawk", facts=RunFacts(model=("qwen2_5_vl", 28))).word == AS_PUBLISHED
    found = status("hawk", facts=RunFacts(model=model))
    family, heads = model
    assert found.word == RUN_DIFFERS
    assert found.why == (
        "its numbers are for Qwen2.5-VL-7B (qwen2_5_vl with 28 heads), "
        f"this model is {family} with {heads} heads",
    )
    assert status("fastervlm", facts=RunFacts(model=model)).word == AS_PUBLISHED


OWN_COUNT = [name for name in PUBLISHED if METHODS[name].own_count]


@pytest.mark.parametrize("name", OWN_COUNT)
def test_a_budget_that_is_reached_makes_a_method_without_a_budget_differ(name):
    """DyMU with its thresholds, cut down to 144 tokens, was "run as published"."""
    entry, why = METHODS[name], "its budget of 144 was reached, published: the image decides"
    options = dict(entry.published_options)
    free, cut = (status(name, facts=RunFacts(reached=n), **options) for n in (None, 144))
    assert not any(why in reason for reason in free.why)
    assert cut.word in (RUN_DIFFERS, STAND_IN)
    assert cut.word == STAND_IN or any(why in reason for reason in cut.why)
    assert status("fastervlm", facts=RunFacts(reached=144)).word == AS_PUBLISHED


def test_a_fixed_layer_is_named_with_the_depth_it_was_published_for():
    facts = RunFacts(layers={"tower": 24, "language_model": 6})
    assert status("fastv", facts=facts).why == (
        "it decides at layer 2 of 6, published: 2 of 32",
    )  # fmt: skip
    assert "it decides at layer 1 of 6, published: 4 of 32" in status("pact", facts=facts).why
    assert status("pyramiddrop", facts=facts).word == AS_PUBLISHED  # quarters of any depth


def test_every_method_that_scales_layers_says_for_which_depth_they_were_published(monkeypatch):
    """Or its layers are quarters or shares of any depth."""
    asked = []
    scale = schedules.in_depth

    def scaled(published, of, layers):
        asked.append(of)
        return scale(published, of, layers)

    monkeypatch.setattr(schedules, "in_depth", scaled)
    for name in PUBLISHED:
        entry = METHODS[name]
        asked.clear()
        placed = [entry.stages(576, 144, depth) for depth in (24, 48)]
        assert not entry.depths or set(asked) <= {4, *entry.depths}
        assert entry.depths or set(asked) <= {4}, name
        last = [stages[-1].layer for stages in placed if stages]
        assert entry.depths or len(set(last)) != 1 or entry.place == "tower", name


def test_options_that_are_not_published_are_named():
    assert status("fastv", layer=3).why == ("layer = 3, published: 2",)
    assert status("hiprune", variant="paper").word == AS_PUBLISHED
    assert status("random", seed=5) is None  # a baseline claims nothing
    by_hand = "object_layer = 4, by hand, not by the method's own rule"
    assert status("hiprune", object_layer=4).why == (by_hand,)


def test_two_parts_of_one_paper_are_a_run_as_published_only_together():
    lone = status("aim")
    assert (lone.word, lone.why) == (
        RUN_DIFFERS, ("the method's other part, aim_mask, was not run",)
    )  # fmt: skip
    both = RunFacts(chain=["aim", "aim_mask"])
    assert status("aim", facts=both).word == status("aim_mask", facts=both).word == AS_PUBLISHED


def test_positions_follow_the_version():
    """SparseVLM 2.0 retains position ids, 1.0 and 1.5 renumber; the default is as published."""
    entry = METHODS["sparsevlm"]
    assert entry.published_positions({}) == "repack"
    assert entry.published_positions({"version": "2.0"}) == "keep"


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_part_named_exists_and_names_it_back(name):
    rest = METHODS[name].rest
    assert not rest or METHODS[rest].rest == name
    assert set(METHODS[name].official_fallbacks) <= set(METHODS[name].fallbacks)
    assert set(METHODS[name].published_options) <= set(METHODS[name].options)


@pytest.mark.parametrize("entry", [*METHODS.values(), *MITIGATIONS.values()], ids=lambda e: e.name)
def test_a_stand_in_says_of_what(entry):
    found = declared_status(entry)
    if entry.paper and not entry.verified:
        assert found.word == STAND_IN
        assert len(found.why[0]) > 20
