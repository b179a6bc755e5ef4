import numpy as np

from tokviz.reduction import reduce


def test_tokens_most_like_the_question_are_added(random_signals):
    signals = random_signals(100)
    reduction = reduce("hiprune_plus", signals, 20)
    base = reduce("hiprune", signals, 18, variant="paper")
    assert len(reduction.roles["text"]) == 2
    assert set(base.kept) < set(reduction.kept)
    text = signals["text_clip"].mean(0)
    cosine = signals["img_clip"] @ text / np.linalg.norm(signals["img_clip"], axis=1)
    cosine[base.kept] = -np.inf
    assert set(reduction.roles["text"]) == set(np.argsort(-cosine)[:2])


def test_another_question_may_keep_other_tokens(random_signals):
    signals = random_signals(100)
    other = {**signals, "text_clip": -signals["text_clip"]}
    one, two = (reduce("hiprune_plus", s, 20).roles["text"] for s in (signals, other))
    assert not set(one) & set(two)


def test_without_the_text_share_it_is_hiprune(random_signals):
    signals = random_signals(100)
    plus = reduce("hiprune_plus", signals, 20, beta=0)
    assert list(plus.kept) == list(reduce("hiprune", signals, 20, variant="paper").kept)


def test_whole_budget_can_go_to_the_question(random_signals):
    reduction = reduce("hiprune_plus", random_signals(30), 5, beta=1)
    assert len(reduction.roles["text"]) == 5
