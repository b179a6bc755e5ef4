"""What every mitigation declares, and what a plan accepts."""

import inspect
import re

import pytest

import tokviz
from tokviz.errors import InputError
from tokviz.mitigation import KINDS, MITIGATIONS, Recipe, mitigation
from tokviz.plans import Plan, plan


@pytest.mark.parametrize("name", sorted(MITIGATIONS))
def test_every_mitigation_says_what_it_is(name):
    entry = MITIGATIONS[name]
    assert re.fullmatch(r"[a-z0-9_]+", name)
    assert set(entry.kinds) <= set(KINDS)
    assert entry.kinds
    assert entry.summary.endswith(".")
    assert len(entry.notes) > 80
    assert entry.paper.startswith("https://arxiv.org/abs/")
    assert "stand-in" in entry.notes.lower() or entry.verified
    recipe = entry.recipe()
    edits = bool(recipe.attention) and "diagnostic" not in entry.kinds
    assert edits == ("attention" in entry.kinds)
    assert bool(recipe.contrast) == ("contrast" in entry.kinds)
    for option in entry.options.values():
        assert option.range or option.choices or option.type is bool
        assert option.check(option.default) == option.default


@pytest.mark.parametrize("name", sorted(MITIGATIONS))
def test_every_option_stands_in_the_text(name):
    entry = MITIGATIONS[name]
    text = f"{entry.summary} {entry.notes} {inspect.getmodule(entry.build).__doc__}"
    assert [o for o in entry.options if o not in text and o != "seed"] == []


def test_a_plan_takes_a_mitigation_with_or_without_a_method():
    alone = plan(mitigation="pai", alpha=0.5)
    assert alone.mitigation.options == {"alpha": 0.5}
    assert alone.label == "All tokens with PAI"
    both = plan("fastervlm", keep=9, mitigation="cmai")
    assert both == plan("fastervlm", keep=9).mitigated("cmai")
    assert both.label == "FasterVLM, 9 tokens with CMAI (stand-in)"
    assert tokviz.MITIGATIONS is MITIGATIONS


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: plan(), "needs a method or a mitigation"),
        (lambda: plan(keep=9, mitigation="pai"), "keep and positions need a method"),
        (
            lambda: plan(mitigation="prayer"),
            "no mitigation 'prayer'. Known: avisc, blind, cai, cmai",
        ),
        (lambda: plan(mitigation="pai", beta=1), "pai has no option 'beta'"),
        (lambda: plan(mitigation="pai", alpha=2), "alpha must be 0 to 1, got 2"),
        (lambda: plan(mitigation="pai").mitigated("vcd"), "only one mitigation"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(make, complaint):
    with pytest.raises(InputError, match=complaint):
        make()


def test_a_name_used_twice_raises():
    with pytest.raises(ValueError, match="'pai' is already taken"):
        mitigation("pai", title="Mine", kinds=("contrast",))(lambda: Recipe())


def test_a_recipe_without_parts_asks_for_nothing():
    assert Plan().recipe == Recipe()
    assert not Recipe().needs_sinks
    assert Recipe().needs == ()
