import numpy as np

from tokviz.reduction import reduce
from tokviz.reduction.holov import combined_score, plain_quotas, shared_quotas


def test_worked_example(t9):
    reduction = reduce("holov", t9, 5, chunks=3)
    assert list(reduction.order) == [0, 1, 3, 4, 7]
    chunks = reduction.score.reshape(3, 3).mean(1)
    assert np.allclose(chunks, [101.73, 109.0, 98.1], atol=0.02)
    assert list(plain_quotas(chunks, 5)) == [2, 2, 1]


def test_worked_example_of_the_overflow(t9):
    signals = {**t9, "cls_attn": [0.01] * 6 + [0.3] * 3}
    reduction = reduce("holov", signals, 6, chunks=3)
    assert list(reduction.order) == [6, 7, 8]
    assert reduction.m == 6
    assert not reduction.matrix()[3:].any()
    assert "zero vectors" in reduction.notes[0]


def test_paper_shares_the_overflow_out(t9):
    signals = {**t9, "cls_attn": [0.01] * 6 + [0.3] * 3}
    reduction = reduce("holov", signals, 6, chunks=3, variant="paper")
    assert reduction.m == 6
    assert len(reduction.kept) == 6
    assert {6, 7, 8} < set(reduction.kept)


def test_code_never_looks_at_the_features(random_signals):
    signals = random_signals(64)
    kept = [
        list(reduce("holov", {**signals, "feats_post": random_signals(64, seed)["feats_post"]}, 20)
             .order)
        for seed in range(3)
    ]  # fmt: skip
    assert kept[0] == kept[1] == kept[2]


def test_paper_looks_at_the_features(random_signals):
    signals = random_signals(64)
    signals["cls_attn"] = np.full(64, 0.01)
    choices = {
        tuple(reduce("holov", {**signals, "feats_post": random_signals(64, seed)["feats_post"]},
                     20, variant="paper").kept)
        for seed in range(3)
    }  # fmt: skip
    assert len(choices) == 3


def test_variance_lifts_every_part_by_nine_percent(random_signals):
    rng = np.random.default_rng(0)
    similarity = np.corrcoef(rng.standard_normal((12, 8)))
    attention = rng.random(12)
    parts = [np.arange(0, 7), np.arange(7, 12)]
    score = combined_score(attention, similarity, parts)
    for part in parts:
        assert np.isclose(score[part].mean(), 1090 * attention[part].mean(), rtol=1e-5)


def test_quotas_meet_the_budget_within_the_parts():
    quota = shared_quotas(np.array([10.0, 1.0, 1.0, 0.0]), np.array([3, 5, 5, 5]), 14)
    assert quota.sum() == 14
    assert (quota <= [3, 5, 5, 5]).all()
    assert quota[0] == 3


def test_without_cls_no_fake_tokens_are_made(t9):
    t9.pop("cls_attn")
    signals = {**t9, "recv_attn": [0.01] * 6 + [0.3] * 3}
    reduction = reduce("holov", signals, 6, chunks=3)
    assert len(reduction.kept) == 6


def test_a_part_of_one_token_counts_its_attention_unscaled_in_the_code():
    """Five tokens in three chunks: 2, 2 and 1; the lone one is worth a thousandth of the others."""
    signals = {"cls_attn": [[0.1, 0.1, 0.1, 0.1, 0.9]], "feats_post": np.eye(5, dtype=np.float32)}
    assert reduce("holov", signals, 2, chunks=3).kept.tolist() == [0, 2]
