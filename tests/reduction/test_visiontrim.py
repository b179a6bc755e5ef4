import numpy as np
import pytest
import torch

from tokviz.errors import MissingSignal
from tokviz.reduction import reduce
from tokviz.reduction.visiontrim import balanced, dominance, likeness


def test_attention_of_a_patch_to_itself_does_not_count():
    attention = torch.tensor([[0.9, 0.1, 0], [0.2, 0.7, 0.1], [0, 0.3, 0.7]])
    score = dominance(torch.tensor([1.0, 0, 0]), attention)
    received = np.array([0.2, 0.4, 0.1])
    assert np.allclose(score, [0.5, 0, 0] + 0.5 * received / np.linalg.norm(received))


def test_a_token_unlike_its_neighbours_is_less_important():
    features = torch.ones(9, 2)
    features[4] = 5
    local = likeness(features, (3, 3))
    assert int(local.argmin()) == 4
    assert local.sum() == pytest.approx(1)


def test_the_measure_that_varies_more_counts_less():
    steady, wild = torch.tensor([0.3, 0.3, 0.4]), torch.tensor([9.0, 0, 0])
    assert int(balanced(steady, wild).argmax()) != 0 or balanced(steady, wild)[0] < 0.4


def test_complements_gather_the_rest_three_times(random_signals):
    signals = random_signals(18)
    names = ("feats_pre", "cls_attn", "full_attn", "num_layers", "text_clip", "img_clip")
    done = reduce("visiontrim", {name: signals[name] for name in names}, 7, complements=2)
    assert len(done.roles["complement"]) == 2
    matrix = done.matrix()
    others = np.setdiff1d(np.arange(18), [*done.roles["dominant"], *done.roles["complement"]])
    # each round adds the mean of a group: a complement with a group in all rounds has sum 1 + 3
    assert matrix[:5].sum(1).tolist() == [1] * 5
    assert matrix[5:, others].sum() <= 2 * 3 + 1e-5
    assert (matrix[5:][:, others].sum(0) > 0).all()


def test_complements_need_the_joint_space(random_signals):
    signals = random_signals(18)
    given = {name: signals[name] for name in ("feats_pre", "cls_attn", "full_attn", "num_layers")}
    assert reduce("visiontrim", given, 7).is_selection
    with pytest.raises(MissingSignal, match="text_clip"):
        reduce("visiontrim", given, 7, complements=2)


def test_maps_without_a_cls_row_choose_the_same(random_signals):
    """Maps of tiles, and those of tokens of several patches, have no row for [CLS]."""
    signals = random_signals(18)
    given = {name: signals[name] for name in ("feats_pre", "cls_attn", "full_attn", "num_layers")}
    bare = {layer: maps[:, 1:, 1:] for layer, maps in signals["full_attn"].items()}
    whole = reduce("visiontrim", given, 7)
    assert (
        reduce("visiontrim", {**given, "full_attn": bare}, 7).kept.tolist() == whole.kept.tolist()
    )
