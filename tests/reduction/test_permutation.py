"""Where a token lies must not matter to a method that only looks at scores and features."""

import numpy as np
import pytest

from tokviz.reduction import METHODS, reduce

BEFORE = [name for name, method in METHODS.items() if method.place == "before"]
PLACE_MATTERS = {
    *(name for name, method in METHODS.items() if method.frames),  # frames in their order
    *("random", "uniform", "centre", "average_pool", "nested_pool"),  # nothing but the place
    "apet",  # its first basis token is drawn by number
    *(
        "hiprune",
        "hiprune_plus",
        "holov",
        "vflowopt",
        "hired",
        "globalcom2",
        "dc2",
        "quota",
    ),  # grid, crops
    *(
        "visionzip",
        "prumerge_plus",
        "aim",
        "vmtc",
        "fastvggt",
    ),  # every so many tokens, even and odd ones
}


@pytest.mark.parametrize("name", sorted(set(BEFORE) - PLACE_MATTERS))
def test_permuted_tokens_give_the_permuted_reduction(name, random_signals):
    signals = random_signals(18)
    shuffle = np.random.default_rng(3).permutation(18)
    there = reduce(name, signals, 7)
    back = reduce(name, {k: permuted(k, v, shuffle) for k, v in signals.items()}, 7)
    unshuffled = np.empty_like(back.matrix())
    unshuffled[:, shuffle] = back.matrix()
    rows = np.lexsort(there.matrix().T), np.lexsort(unshuffled.T)
    assert np.allclose(there.matrix()[rows[0]], unshuffled[rows[1]], atol=1e-5)


def permuted(key, value, shuffle):
    """Return a signal with its tokens in another order; [CLS] stays first."""
    if isinstance(value, dict):
        return {layer: permuted(key, array, shuffle) for layer, array in value.items()}
    if key in ("feats_pre", "feats_post", "img_clip", "relevance", "unpad_mask"):
        return value[shuffle]
    if key == "llm_first_keys":
        return value[:, shuffle]
    if key in ("q", "k", "v"):
        return value[:, np.r_[0, 1 + shuffle]]
    if key == "full_attn":
        around = np.r_[0, 1 + shuffle]
        return value[:, around][:, :, around]
    return value[..., shuffle] if key in ("cls_attn", "cls_logits", "recv_attn") else value
