"""Worked numbers of every mitigation, on plain tensors."""

import math
from types import SimpleNamespace

import pytest
import torch

from tokviz.errors import MissingSignal
from tokviz.mitigation.avisc import not_blind
from tokviz.mitigation.blind import mixed
from tokviz.mitigation.cmai import focus, least, without
from tokviz.mitigation.contrasting import plausible, subtract
from tokviz.mitigation.damro import outlier_score
from tokviz.mitigation.hip import found, only
from tokviz.mitigation.m3id import grounded, weight
from tokviz.mitigation.memvr import uncertainty, with_picture
from tokviz.mitigation.middle_heads import agreed, in_depth
from tokviz.mitigation.opera import column_scores
from tokviz.mitigation.pai import guided, raised
from tokviz.mitigation.sid import LeastAttended
from tokviz.mitigation.var import image_centric, redistributed
from tokviz.mitigation.vasparse import less_early
from tokviz.mitigation.vcd import kept_signal, noised
from tokviz.mitigation.yopo_heads import cut_off, head_ratio
from tokviz.models.runs.caption_shift import heads_that_look
from tokviz.reduction.parts.selection import top_k
from tokviz.reduction.signals import Signals


def close(ours, theirs, tolerance=1e-6):
    torch.testing.assert_close(
        ours.double(), torch.tensor(theirs, dtype=torch.float64), atol=tolerance, rtol=0
    )


def bools(*columns, of):
    mask = torch.zeros(of, dtype=torch.bool)
    mask[list(columns)] = True
    return mask


# -- PAI ------------------------------------------------------------------------------------------

LOGITS = torch.tensor([1, -0.5, 2, 0])


def test_pai_raises_negative_logits_too():
    image = bools(1, 2, of=4)
    close(LOGITS.softmax(-1), [0.232057, 0.051779, 0.630795, 0.085369])
    edited = raised(LOGITS, image, 0.5)
    close(edited, [1, -0.25, 3, 0])
    close(edited.softmax(-1), [0.110577, 0.031681, 0.817063, 0.040679])
    assert torch.equal(raised(LOGITS, image, 0.0), LOGITS)


@pytest.mark.parametrize("hidden", [-math.inf, torch.finfo(torch.float32).min])
def test_pai_does_not_bring_back_what_a_mask_hides(hidden):
    logits = torch.tensor([1, hidden, 2])
    weights = raised(logits, bools(0, 1, of=3), 1.0).softmax(-1)
    assert weights[1] == 0
    assert weights.isfinite().all()


@pytest.mark.parametrize(
    ("gamma", "probabilities"),
    [(1.1, [0.579827, 0.328606, 0.091567]), (2, [0.351220, 0.614634, 0.034146])],
)
def test_pai_leans_away_from_the_text_alone(gamma, probabilities):
    own, text = torch.tensor([0.6, 0.3, 0.1]).log(), torch.tensor([0.7, 0.1, 0.2]).log()
    close(guided(own, text, gamma).softmax(-1), probabilities)
    close(guided(own, text, 1).exp(), [0.6, 0.3, 0.1])


def test_pai_forbids_what_is_under_a_tenth_of_the_best():
    own, text = torch.tensor([0.91, 0.08, 0.01]).log(), torch.full((3,), 1 / 3).log()
    assert guided(own, text, 1.1)[2] == guided(own, text, 1.1)[1] == -math.inf
    assert guided(own, text, 1).isfinite().all()


# -- blind ----------------------------------------------------------------------------------------


def test_blind_is_the_text_alone_or_a_mixture():
    own, text = torch.tensor([0.6, 0.4]).log(), torch.tensor([0.2, 0.8]).log()
    assert mixed(own, text, 1) is text
    close(mixed(own, text, 0.5).exp(), [0.4, 0.6])


# -- HiP ------------------------------------------------------------------------------------------


def test_hip_follows_the_better_halves_down_to_single_keys():
    """Two ranges of four keys: the best key of a range is found where its half is judged best."""
    logits = torch.tensor([[[0.0, 0, 5, 9, 0, 7, 1, 0]]])
    assert sorted(found(logits, 2)[0, 0].tolist()) == [3, 5]
    kept = only(logits, torch.tensor([[[3, 5]]]))
    assert kept.isfinite()[0, 0].tolist() == [False] * 3 + [True, False, True, False, False]


@pytest.mark.parametrize(("keys", "count"), [(9, 2), (16, 4), (67, 8), (5, 4)])
def test_hip_finds_as_many_keys_as_asked_and_only_real_ones(keys, count):
    chosen = found(torch.randn(2, 3, keys, generator=torch.Generator().manual_seed(0)), count)
    assert chosen.shape == (2, 3, count)
    assert 0 <= int(chosen.min()) <= int(chosen.max()) < keys


def test_hip_leaves_a_row_alone_that_would_see_nothing():
    logits = torch.tensor([[[2.0, -math.inf, -math.inf, -math.inf]]])
    assert torch.equal(only(logits, torch.tensor([[[2]]])), logits)


# -- middle heads, SID, AvisC, MemVR ---------------------------------------------------------------


def test_middle_heads_add_what_all_heads_see():
    logits = torch.tensor([[[1.0, -2, 0.5]], [[3, 0, 0.5]]])
    made = agreed(logits, bools(0, 1, of=3), 0.5)
    close(made, [[[2, -1.5, 0.5]], [[4, 0.5, 0.5]]])


def test_middle_heads_are_scaled_to_the_depth():
    assert [in_depth(5, 32), in_depth(18, 32), in_depth(18, 6), in_depth(18, 2)] == [5, 18, 3, 1]


@pytest.mark.parametrize(("count", "hidden"), [(2, [1]), (None, [1, 3]), (9, [])])
def test_sid_hides_what_is_attended_most(count, hidden):
    attention = torch.tensor([0.5, 0.3, 0.05, 0.1, 0.05])
    edit = LeastAttended(2, count)
    chosen = edit.chosen(attention, bools(1, 2, 3, of=5))
    assert chosen.nonzero()[:, 0].tolist() == hidden


def test_sid_counts_a_key_outside_a_sliding_window_as_not_attended():
    """The cache of the choosing layer holds three keys, that of the next layer all five."""
    edit = LeastAttended(1, 1)
    image = bools(1, 2, of=4)
    place = SimpleNamespace(layer=0, image=image, prefill=True)
    edit(torch.tensor([[[0.0, 5, 3, 0]]]), place)
    assert edit.hidden.tolist() == [False, True, False, False]
    edit(torch.tensor([[[1.0, 0, 0]]]), SimpleNamespace(layer=0, image=image[1:], prefill=False))
    assert edit.hidden.tolist() == [False, False, True, False, False]
    shown = edit(torch.zeros(1, 1, 5), SimpleNamespace(layer=1, image=image, prefill=False))
    assert shown[0, 0].tolist() == [0.25, 0.25, 0, 0.25, 0.25]


def test_avisc_keeps_what_stands_out_in_the_layers_that_look_most():
    attention = torch.tensor([[0.1, 0.1, 0.1, 0.5], [0.0, 0.0, 0.1, 0.0], [0.1, 0.1, 0.1, 0.1]])
    assert not_blind(attention, 0.5, 0.9).tolist() == [True, True, True, False]
    assert not_blind(attention, 1.0, -5).tolist() == [False] * 4
    assert not_blind(torch.ones(2, 1), 0.5, 0.99).tolist() == [False]


def test_cai_takes_the_heads_that_look_most_more_and_none_that_look_less():
    more = torch.tensor([[0.1, 0.4, -0.2], [0.3, 0, 0.1]])
    assert heads_that_look(more, 1 / 3).tolist() == [[False, True, False], [True, False, False]]
    assert heads_that_look(more, 1).tolist() == [[True, True, False], [True, False, True]]
    assert not heads_that_look(-more.abs(), 0.5).any()
    assert heads_that_look(more, 0.01).sum() == 1


def test_memvr_measures_the_ten_likeliest_words():
    assert uncertainty(torch.zeros(50)) == pytest.approx(1)
    assert uncertainty(torch.tensor([100.0] + [0] * 20)) == pytest.approx(0, abs=1e-6)


def test_memvr_mixes_in_the_picture_at_the_mean_size_of_the_output():
    states, output = torch.tensor([[1.0, 2]]), torch.tensor([[4.0, -2]])
    tokens = torch.tensor([[1.0, 0], [0, 2]])
    # x V'V = [1, 8], mean size 4.5; the output's is 3
    close(with_picture(states, output, tokens, 1.0), [[1 * 3 / 4.5, 8 * 3 / 4.5]])
    close(with_picture(states, output, tokens, 0.0), [[4, -2]])


# -- VCD, DAMRO, VASparse, M3ID -------------------------------------------------------------------


def test_vcd_moves_the_answer():
    own, other = torch.tensor([2, 1.5, 0, -2]), torch.tensor([2, 0.5, 0.5, -2])
    assert plausible(own, 0.1).tolist() == [True, True, True, False]
    assert plausible(own, 1.0).sum() == 1  # the best one is always plausible
    close(subtract(own, other, 1, 0.1)[:3], [2, 2.5, -0.5])
    close(subtract(own, other, 1, 0.1).softmax(-1), [0.366192, 0.603749, 0.030059, 0])
    assert torch.equal(subtract(own, other, 0, 0), own)


def test_vcd_noise_schedule():
    for step, signal, noise in (
        (500, 0.8630, 0.5052),
        (999, 0.2850, 0.9585),
        (700, 0.5927, 0.8054),
    ):
        assert kept_signal(step) == pytest.approx(signal, abs=6e-5)
        assert math.sqrt(1 - kept_signal(step) ** 2) == pytest.approx(noise, abs=6e-5)


def test_the_same_seed_gives_the_same_noise():
    pixels = torch.ones(1, 3, 40, 40)
    first = noised(pixels, 999, 1)
    assert torch.equal(first, noised(pixels, 999, 1))
    assert not torch.equal(first, noised(pixels, 999, 2))
    assert float((first - 0.2850).std()) == pytest.approx(0.9585, abs=0.03)


def test_damro_takes_the_outliers_and_flips_at_a_large_alpha():
    attention = torch.tensor([0.1, 0.5, 0.05, 0.2, 0.15])
    assert top_k(attention, 2).tolist() == [1, 3]
    own, other = torch.tensor([3.0, 2]), torch.tensor([2.9, 0.5])
    close(subtract(own, other, 0.5, 0.1), [3.05, 2.75])
    close(subtract(own, other, 1.5, 0.1), [3.15, 4.25])


def test_damro_joins_the_heads_before_the_softmax():
    query = torch.tensor([[[2.0], [0], [0]], [[0.0], [0], [0]]])
    keys = torch.tensor([[[0.0], [1], [0]], [[0.0], [0], [9]]])
    heads = torch.full((2, 2), 0.5)
    layers = {"q": {0: query}, "k": {0: keys}, "cls_attn": {0: heads}}
    signals = Signals({**layers, "feats_post": heads, "num_layers": 2})  # it reads the last but one
    score = outlier_score(signals)
    close(score[0] / score[1], math.exp(2 / math.sqrt(2)), 1e-5)
    with pytest.raises(MissingSignal, match=r"needs a vision tower with a \[CLS\]"):
        outlier_score(Signals({"feats_post": heads}))


def test_vasparse_subtracts_a_tenth():
    close(less_early(torch.tensor([2, 1, 0.5]), torch.tensor([1.0, 0, 3]), 0.1), [1.9, 1.0, 0.2])


def test_vasparses_second_contrast_leaves_out_what_is_not_plausible():
    own, early = torch.tensor([0.6, 0.35, 0.05]).log(), torch.tensor([0.5, 0.25, 0.25]).log()
    made = less_early(own, early, 0.0, second_contrast=True)
    close(made[:2], [math.log(1.2), math.log(1.4)])
    assert made[2] == -math.inf
    close(less_early(own, early, 0.5, True)[:2], (made - 0.5 * early)[:2].tolist())


def test_m3id_counts_more_with_every_word():
    assert weight(1, 0.02) == pytest.approx(0.020201, abs=1e-6)
    assert weight(50, 0.02) == pytest.approx(1.718282, abs=1e-6)
    own, text = torch.tensor([0.25, 0.25, 0.5]).log(), torch.tensor([0.5, 0.25, 0.25]).log()
    moved = grounded(own, text, 50, 0.6, 0.02)
    close(moved, (own + 1.7182818 * (own - text)).tolist())
    close(grounded(own, text, 50, 0.3, 0.02), own.tolist())
    close(grounded(own, text, 50, 0.6, 0.0), own.tolist())


# -- VAR ------------------------------------------------------------------------------------------

ROWS = torch.tensor(
    [
        [0.30, 0.05, 0.10, 0.20, 0.10, 0.05, 0.05, 0.15],
        [0.50, 0.05, 0.20, 0.04, 0.03, 0.02, 0.06, 0.10],
        [0.70, 0.05, 0.02, 0.03, 0.02, 0.03, 0.05, 0.10],
    ]
)[:, None]
SINKS, IMAGE = bools(0, 2, of=8), bools(2, 3, 4, 5, of=8)


def test_var_edits_the_head_that_looks_at_the_image_and_leaves_the_others():
    chosen = image_centric(ROWS, SINKS, IMAGE, 0.5, 0.2)
    assert chosen[:, 0].tolist() == [True, False, False]
    edited = redistributed(ROWS, SINKS, IMAGE, chosen, 0.6)
    close(edited[0, 0], [0.18, 0.05, 0.06, 0.291429, 0.145714, 0.072857, 0.05, 0.15])
    assert torch.equal(edited[1:], ROWS[1:])
    close(edited.sum(-1), [[1.0]] * 3)


def test_var_keeps_the_row_whole_at_p_1_and_without_takers():
    everywhere = torch.ones(3, 1, dtype=torch.bool)
    assert torch.equal(redistributed(ROWS, SINKS, IMAGE, everywhere, 1.0), ROWS)
    all_sinks = SINKS | IMAGE
    assert torch.equal(redistributed(ROWS, all_sinks, IMAGE, everywhere, 0.6), ROWS)


@pytest.mark.parametrize(
    ("p", "row"), [(0.6, [0.18, 0.24, 0.24, 0.24, 0.1]), (0.4, [0.12, 0.16, 0.31, 0.31, 0.1])]
)
def test_var_text_sinks_give_too(p, row):
    weights = torch.tensor([[[0.3, 0.4, 0.1, 0.1, 0.1]]])
    sinks, image = bools(0, 1, of=5), bools(1, 2, 3, of=5)
    assert not image_centric(weights, sinks, image, 0.5, 0.2).any()
    chosen = image_centric(weights, sinks, image, 1.0, 0.2)
    close(redistributed(weights, sinks, image, chosen, p)[0, 0], row)


# -- YOPO, CMAI, OPERA ----------------------------------------------------------------------------


def test_yopo_cuts_the_head_that_hardly_looks():
    weights = torch.tensor([[[0.38, 0.12, 0.50]], [[0.08, 0.02, 0.90]]])
    image = bools(1, of=3)
    close(head_ratio(weights, image), [0.13636, 0.02041], 1e-5)
    cut = head_ratio(weights, image) <= 0.077
    assert cut.tolist() == [False, True]
    text, visual = torch.zeros(1, dtype=torch.bool), torch.ones(1, dtype=torch.bool)
    both = torch.ones(2, dtype=torch.bool)
    close(cut_off(weights, both, image, text)[0, 0], [0.38, 0, 0.50])
    assert torch.equal(cut_off(weights, cut, image, text)[0], weights[0])
    close(cut_off(weights, both, image, visual)[0, 0], [0, 0, 0])


def test_cmai_focus_goes_through_the_words():
    words, image = torch.tensor([[1, 0], [0.4, 0.6]]), torch.tensor([[0.2, 0.1, 0], [0, 0.05, 0.3]])
    close(focus(words, image), [[0.2, 0.1, 0], [0.08, 0.07, 0.18]])
    hidden = least(focus(words, image), 0.4)
    assert hidden.tolist() == [[False, False, True], [False, True, False]]
    logits = torch.zeros(1, 2, 5)
    edited = without(logits, bools(1, 2, 3, of=5), hidden).softmax(-1)
    close(edited[0, 0], [0.25, 0.25, 0.25, 0, 0.25])
    assert torch.equal(without(logits, bools(1, 2, 3, of=5), least(focus(words, image), 0)), logits)


def test_cmai_ties_keep_the_lower_index():
    assert least(torch.zeros(1, 4), 0.5).tolist() == [[False, False, True, True]]


def test_opera_column_scores():
    rows = [[1], [0.5, 0.5], [0.6, 0.2, 0.2], [0.5, 0.1, 0.1, 0.3]]
    scores = 10 ** column_scores([torch.tensor(row, dtype=torch.float64) for row in rows])
    close(scores, [0.09375, 0.000125, 0.000005, 0.0000015], 1e-9)
    assert 3.2 - float(scores.max()) == pytest.approx(3.10625)


def test_opera_long_answers_stay_finite():
    rows = [torch.full((i + 1,), 1.0) for i in range(400)]
    assert column_scores(rows).isfinite().all()
