import numpy as np

from tokviz.reduction import reduce


def test_worked_example():
    signals = {"cls_attn": [0.6, 0.3, 0.1], "feats_post": [[9.0, 9], [2, 0], [0, 1]]}
    reduction = reduce("vmtc", signals, 2, merged=0.5)
    out = reduction.apply(np.array(signals["feats_post"], np.float32))
    assert np.allclose(out, [[9, 9], [1.5, 0.25]])
    assert list(reduction.position) == [0, 1]


def test_primary_tokens_are_fastervlms(random_signals):
    signals = random_signals(40)
    primary = reduce("vmtc", signals, 12).roles["primary"]
    assert list(primary) == list(reduce("fastervlm", signals, 9).kept)


def test_all_tokens_go_somewhere_and_rows_are_means(random_signals):
    reduction = reduce("vmtc", random_signals(40), 12)
    assert (reduction.group >= 0).all()
    assert np.allclose(reduction.matrix().sum(1), 1, atol=1e-5)
