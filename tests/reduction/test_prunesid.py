import numpy as np
import pytest

from tokviz.reduction import reduce
from tokviz.reduction.prunesid import choose, directions, shared_out, without_duplicates

SIMILARITY = np.array(
    [[1, 0.9, 0.1, 0.2], [0.9, 1, 0.3, 0.1], [0.1, 0.3, 1, 0.8], [0.2, 0.1, 0.8, 1]]
)
SCORE = np.array([0.3, 0.4, 0.2, 0.1])


def test_the_best_token_puts_back_those_too_similar_to_it():
    everyone = np.arange(4)
    assert without_duplicates(everyone, SIMILARITY, SCORE, 0.5).tolist() == [1, 2]
    assert without_duplicates(everyone, SIMILARITY, SCORE, 0.95).tolist() == [1, 0, 2, 3]
    assert without_duplicates(everyone[:0], SIMILARITY, SCORE, 0.5).tolist() == []


def test_groups_share_the_budget_by_what_was_taken():
    """10 tokens: one per group, the other 7 in the shares 3/6, 2/6, 1/6 of the running sum."""
    shares = shared_out(np.array([9, 9, 9]), np.array([3, 2, 1]), 11)
    assert shares.sum() == 10
    assert shares[0] >= shares[1] >= shares[2]


def test_a_group_gives_no_more_than_it_has():
    assert shared_out(np.array([1, 9]), np.array([1, 1]), 7).tolist() == [1, 5]
    assert shared_out(np.array([0, 9]), np.array([0, 2]), 5).tolist() == [0, 4]


def test_first_the_taken_then_those_put_back():
    kept, taken = choose(np.zeros(4, int), SIMILARITY, SCORE, 4)
    # 4 / 32 of the mean cosine puts back everything that is not at a right angle
    assert taken.tolist() == [1]
    assert kept.tolist() == [1, 0, 2]


def test_tokens_of_one_direction_are_in_one_group(random_signals):
    states = random_signals(16)["feats_pre"]
    doubled = np.repeat(states[:8], 2, 0)
    group = directions(doubled, 4)
    assert (group[::2] == group[1::2]).all()
    assert set(group) <= set(range(4))


def test_without_cls_the_received_attention_is_used(random_signals):
    signals = random_signals(18)
    given = {name: signals[name] for name in ("feats_pre", "recv_attn", "num_layers")}
    done = reduce("prunesid", given, 6)
    assert done.m == 6
    assert "no [CLS]" in done.notes[0]


@pytest.mark.parametrize("keep", [1, 2, 5, 17])
def test_the_count_is_exact(random_signals, keep):
    signals = random_signals(18)
    given = {name: signals[name] for name in ("feats_pre", "cls_attn", "num_layers")}
    assert reduce("prunesid", given, keep).m == keep
