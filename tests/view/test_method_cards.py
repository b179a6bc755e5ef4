"""What the menu of methods says about tokens that are left out."""

import pytest

import tokviz
from tokviz.reduction import METHODS
from tokviz.reduction.method import EFFECTS
from tokviz.view.about import acts_on, published_rows
from tokviz.view.method_cards import LEFT_OUT, method_card
from tokviz.view.run_names import POSITIONS


def test_every_effect_but_removal_has_a_badge_of_its_own():
    assert set(LEFT_OUT) == set(EFFECTS) - {"remove", "restart"}
    assert len({text for text, _ in LEFT_OUT.values()}) == len(LEFT_OUT)


def test_only_a_method_that_masks_is_said_to_mask():
    for name, entry in METHODS.items():
        badge = method_card(entry)["left_out"]
        assert (badge is not None and badge[0] == "masks only") == (entry.effect == "mask"), name
    assert method_card(METHODS["snapkv"])["left_out"][0] == "shortens the KV cache"


def test_only_positions_that_a_method_takes_are_offered():
    """The page offered "average" for methods inside the language model, which refuse it."""
    for name, entry in METHODS.items():
        offered = method_card(entry)["position_choices"]
        for choice in set(POSITIONS) if entry.place != "picture" else ():
            if choice in offered:
                assert tokviz.plan(name, keep=4, positions=choice)
            else:
                with pytest.raises(tokviz.InputError, match="positions must be"):
                    tokviz.plan(name, keep=4, positions=choice)
    assert method_card(METHODS["fastv"])["position_choices"] == ["keep", "repack"]


@pytest.mark.parametrize("name", tokviz.METHODS)
def test_about_says_all_that_the_page_of_methods_says(name):
    """docs/methods.md named code, licence, positions and own counts that the page left out."""
    entry = tokviz.METHODS[name]
    card = method_card(entry)
    said = " ".join([card["summary"], card["notes"], *(text for _, text in card["about"])])
    for part in (entry.code, entry.licence, acts_on(entry), *entry.needs, *entry.optional):
        assert part in said
    for text in (*entry.fallbacks.values(), *entry.differs, *published_rows(entry)):
        assert text in said
    assert POSITIONS[entry.positions][0] in said
    assert ("its own, which may be below the budget" in said) is entry.adaptive
    assert (card["paper"], card["year"]) == (entry.paper, entry.year)
    assert {option["name"] for option in card["options"]} == {*entry.options}
