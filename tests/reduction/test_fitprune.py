import numpy as np
import pytest

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.fitprune import RECIPES, TOKENS


def attention(*pairs):
    """Attention [2, 6, 6] of rows: 0 before the image, 1 to 3 visual, 4 and 5 text after it."""
    maps = np.zeros((2, 6, 6), np.float32)
    for head, query, key, weight in pairs:
        maps[head, query, key] = weight
    return maps


def test_a_token_needs_the_attention_of_both_image_and_text():
    maps = attention(
        (0, 3, 1, 0.9), (0, 4, 2, 0.9),  # token 0 from the image only, token 1 from the text only
        (1, 3, 3, 0.3), (1, 5, 3, 0.3),  # token 2 a little from both
    )  # fmt: skip
    done = reduce("fitprune", {"llm_attn_all": maps, "llm_visual_rows": [1, 2, 3]}, 1)
    assert done.kept.tolist() == [2]
    assert np.allclose(done.score, [0, 0, 0.1 * 0.3])


def test_the_strongest_head_counts_and_rows_before_the_image_do_not():
    maps = attention(
        (0, 0, 1, 9.0), (0, 2, 1, 0.3), (1, 2, 1, 0.6), (0, 4, 1, 0.2), (1, 4, 1, 0.1)
    )  # fmt: skip
    score = reduce("fitprune", {"llm_attn_all": maps, "llm_visual_rows": [1, 2, 3]}, 1).score
    assert np.allclose(score, [0.2 * 0.2, 0, 0])


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_published_budget_uses_its_recipe(recipe):
    left, want = TOKENS, []
    for layer, count in enumerate(recipe):
        left -= count
        want += [(layer + 1, left)] if count else []
    stages = METHODS["fitprune"].stages(TOKENS, left, 32)
    assert [(stage.layer, stage.keep) for stage in stages] == want


@pytest.mark.parametrize(("n", "keep", "layers"), [(144, 1, 6), (144, 100, 40), (16, 3, 2)])
def test_other_budgets_and_depths_end_at_the_budget(n, keep, layers):
    counts = [stage.keep for stage in METHODS["fitprune"].stages(n, keep, layers)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == keep
