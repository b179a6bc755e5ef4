"""What the menu of methods says about tokens that are left out."""

from tokviz.reduction import METHODS
from tokviz.reduction.method import EFFECTS
from tokviz.view.method_cards import LEFT_OUT, method_card


def test_every_effect_but_removal_has_a_badge_of_its_own():
    assert set(LEFT_OUT) == set(EFFECTS) - {"remove", "restart"}
    assert len({text for text, _ in LEFT_OUT.values()}) == len(LEFT_OUT)


def test_only_a_method_that_masks_is_said_to_mask():
    for name, entry in METHODS.items():
        badge = method_card(entry)["left_out"]
        assert (badge is not None and badge[0] == "masks only") == (entry.effect == "mask"), name
    assert method_card(METHODS["snapkv"])["left_out"][0] == "shortens the KV cache"
