import pytest

from tokviz.cost import (
    LLAVA_7B,
    Shape,
    cost_of,
    layer_cost,
    prefill_share,
    run_share,
    share,
    tokens_per_layer,
    tokens_seen,
)
from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction import METHODS
from tokviz.reduction.method import Stage
from tokviz.trace.stages import StageRecord


def percent(name, keep, **options):
    return 100 * prefill_share(METHODS[name], 576, keep, **options)


def carried_out(place, layer, n, m, effect="remove"):
    return StageRecord("x", place, layer, Reduction.select(range(m), n), 0.0, effect)


def test_keeping_every_token_costs_everything():
    assert percent("fastv", 576) == pytest.approx(100)


@pytest.mark.parametrize(
    ("name", "keep", "published"),
    [
        ("fastv", 432, 76.2),
        ("fastv", 288, 52.6),
        ("fastv", 144, 29.3),
        ("fastv", 72, 17.7),
        ("pyramiddrop", 72, 46.6),
        ("transprune", 72, 40.8),
    ],
)
def test_published_percentages(name, keep, published):
    assert percent(name, keep) == pytest.approx(published, abs=0.05)


@pytest.mark.parametrize(("chosen", "published"), [((300, 200, 110), 34.8), ((66, 30, 17), 13.7)])
def test_published_percentages_of_sparsevlm(chosen, published):
    at = [Stage(layer, count) for layer, count in zip((3, 7, 16), chosen, strict=True)]
    counts = tokens_per_layer(576, at, 32)
    assert 100 * share(counts, 576, LLAVA_7B) == pytest.approx(published, abs=0.05)


def test_text_is_part_of_what_a_computer_does():
    assert percent("fastv", 288, text=64) == pytest.approx(57.2, abs=0.05)


@pytest.mark.parametrize(
    ("name", "keep", "mean"),
    [("fastv", 432, 441), ("fastv", 288, 306), ("fastv", 144, 171), ("fastv", 72, 103.5),
     ("pyramiddrop", 72, 270), ("transprune", 72, 236.25)],
)  # fmt: skip
def test_published_mean_tokens(name, keep, mean):
    assert sum(tokens_per_layer(576, METHODS[name].stages(576, keep, 32), 32)) / 32 == mean


@pytest.mark.parametrize(
    ("before", "first", "second", "mean"),
    [(0.7233, 0.7487, 0.4870, 0.5007), (0.2651, 0.9833, 0.8773, 0.2507), (0.1166, 1, 0.6011, 0.1)],
)
def test_published_budgets_of_vflowopt(before, first, second, mean):
    n = 1_000_000
    at = [Stage(9, round(n * before * first)), Stage(18, round(n * before * first * second))]
    counts = tokens_per_layer(round(n * before), at, 28)
    assert sum(counts) / 28 / n == pytest.approx(mean, abs=5e-5)


def test_three_terms_of_a_layer():
    # 4 n D^2 + 2 n^2 D + 3 n D m with n = 3, D = 4096, m = 11008
    assert layer_cost(3, LLAVA_7B) == 4 * 3 * 4096**2 + 2 * 9 * 4096 + 3 * 3 * 4096 * 11008


@pytest.mark.parametrize("name", ["aim_mask", "yopo", "cmai", "tidaldecode"])
def test_masks_save_nothing(name):
    assert percent(name, 72) == 100


def test_a_restart_pays_for_the_first_reading():
    again = 100 * share([72] * 32, 576, LLAVA_7B)
    assert percent("gemfilter", 72) == pytest.approx(100 * 14 / 32 + again)


@pytest.mark.parametrize(
    ("records", "seen"),
    [
        ([], [8, 8, 8, 8]),
        ([carried_out("before", None, 8, 4)], [4, 4, 4, 4]),
        ([carried_out("tower", None, 8, 4, "unmerge")], [8, 8, 8, 8]),
        ([carried_out("language_model", 2, 8, 3, "mask")], [8, 8, 8, 8]),
        (
            [carried_out("before", None, 8, 6), carried_out("language_model", 2, 6, 1)],
            [6, 6, 1, 1],
        ),
        (
            [carried_out("language_model", i, 8, m, "bypass") for i, m in ((1, 5), (3, 2))],
            [8, 5, 5, 2],
        ),
    ],
    ids=["all", "before", "unmerge", "mask", "two places", "bypass"],
)
def test_what_each_layer_saw_follows_from_what_was_carried_out(records, seen):
    assert tokens_seen(records, 8, 4) == seen


def test_a_run_costs_what_its_schedule_promises():
    records = [carried_out("language_model", 2, 576, 144)]
    assert 100 * run_share(records, 576, LLAVA_7B) == pytest.approx(percent("fastv", 144))
    restart = [carried_out("language_model", 14, 576, 72, "restart")]
    assert 100 * run_share(restart, 576, LLAVA_7B) == pytest.approx(percent("gemfilter", 72))


def test_a_stage_outside_the_model_is_refused():
    with pytest.raises(InputError, match="stages must lie in layers 0 to 3"):
        tokens_per_layer(8, [Stage(4, 2)], 4)


def test_attention_over_every_place_costs_as_much_as_with_nothing_merged():
    """DyMU: only the MLP, 3 n D m of 4 n D^2 + 2 n^2 D + 3 n D m, gets shorter."""
    shape = Shape(layers=2, width=4, mlp=8)
    done = Reduction.from_groups([[0, 1], [2, 3]], 4)
    record = StageRecord("dymu", "tower", None, done, 0.0, "remove")
    whole = 4 * 4 * 16 + 2 * 16 * 4 + 3 * 4 * 32
    assert run_share([record], 4, shape, unmerged=True) == pytest.approx(
        (whole - 3 * 2 * 32) / whole
    )


def test_layers_without_attention_have_no_term_of_pairs():
    shape = Shape(layers=2, width=4, mlp=8, linear=frozenset({0}))
    # 10 rows: 4 x 10 x 16 + 3 x 10 x 32 in both, 2 x 100 x 4 in layer 1 alone
    assert cost_of([10, 10], shape) == 2 * (640 + 960) + 800
    assert share([10, 5], 10, shape) == pytest.approx((1600 + 1000) / 4000)
