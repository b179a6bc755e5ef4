"""A plan says what will be done, in an order that can be done."""

import pytest

import tokviz
from tokviz.matrix import Reduction
from tokviz.plans import Plan, Step, chosen


def test_a_plan_knows_its_place_its_label_and_the_published_position_policy():
    step = tokviz.plan("fastv", keep=9).steps[0]
    assert (step.place, step.label, step.position_policy) == (
        "language_model",
        "FastV, 9 tokens",
        "keep",
    )
    assert tokviz.plan("fastervlm", keep=9).steps[0].position_policy == "repack"
    assert tokviz.plan("fastervlm", 9, positions="keep").steps[0].position_policy == "keep"


def test_a_stand_in_is_called_one_in_its_label():
    name = next(n for n, m in tokviz.METHODS.items() if not m.verified)
    assert "stand-in" in tokviz.plan(name, keep=4).label


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tokviz.plan("magic", keep=4), "there is no method 'magic'"),
        (lambda: tokviz.plan("fastervlm", keep=4, speed=9), "has no option 'speed'"),
        (lambda: tokviz.plan("fastervlm", keep=4, positions="up"), "positions must be"),
        (lambda: tokviz.plan("tome", 9).then(tokviz.plan("pitome", 5)), "only one method inside"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_in_words(make, message):
    with pytest.raises(tokviz.InputError, match=message):
        make()


def test_a_choice_by_hand_keeps_its_positions_and_its_count():
    plan = chosen(Reduction.select([1, 5], 6))
    assert plan.steps[0].keep == 2
    assert plan.steps[0].position_policy == "keep"
    assert plan.label == "chosen by hand, 2 tokens"
    assert Plan((Step("x", 1, reduction=Reduction.select([0], 6)),)).at("before")


def test_a_method_whose_code_follows_its_paper_takes_either_variant():
    assert tokviz.plan("fastv", keep=4, variant="code").steps[0].entry.check_options(
        {"variant": "paper"}
    ) == {"layer": 2}
    with pytest.raises(tokviz.InputError, match="has no option 'variant'"):
        tokviz.plan("fastv", keep=4, variant="mine")
