"""Methods whose tokens skip some layers and come back for others."""

import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.reduction import METHODS, reduce


def at(name, n, keep, layers, **options):
    stages = METHODS[name].stages(n, keep, layers, **options)
    return [(stage.layer, stage.keep) for stage in stages]


def test_gamma_mod_spares_the_first_three_layers_and_the_last():
    found = at("gamma_mod", 576, 288, 32)
    assert found[:-1] == [(layer, 288) for layer in range(3, 31)]
    assert found[-1] == (31, 576)
    assert at("gamma_mod", 36, 9, 2, first_layer=1) == [(1, 9)]
    with pytest.raises(InputError, match="the language model has 2 layers"):
        at("gamma_mod", 36, 9, 2)


def test_gamma_mod_skips_the_layers_that_are_listed():
    assert at("gamma_mod", 36, 9, 12, skip="9, 4 5") == [
        (4, 9), (5, 9), (6, 36), (9, 9), (10, 36),
    ]  # fmt: skip
    assert at("gamma_mod", 36, 9, 12, skip="11") == [(11, 9)]
    for wrong in ("4 x", "0", "12", "-3", "4.5", ""):
        with pytest.raises(InputError):
            at("gamma_mod", 36, 9, 12, skip=wrong)


def test_lvlm_csp_is_sparse_then_whole_then_sparse():
    assert at("lvlm_csp_stages", 576, 144, 32) == [(1, 144), (8, 576), (16, 144)]
    assert at("lvlm_csp_stages", 36, 9, 2) == [(1, 9)]


@pytest.mark.parametrize(("layer", "kept"), [(1, [0, 2, 4, 6]), (16, [1, 3, 5, 8])])
def test_representatives_are_even_and_later_tokens_are_attended(layer, kept):
    attention = np.array([[0, 0.3, 0, 0.2, 0, 0.1, 0, 0, 0.2]], np.float32)
    given = {"llm_attn_last": attention, "layer": layer, "num_layers": 32}
    assert reduce("lvlm_csp_stages", given, 4).kept.tolist() == kept
