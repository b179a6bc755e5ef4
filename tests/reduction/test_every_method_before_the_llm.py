"""Promises of every registered method that acts before the language model, new ones included."""

import re

import numpy as np
import pytest
import torch

from tokviz.errors import InputError, MissingSignal
from tokviz.matrix import FATES, KEPT, MERGED, PRUNED
from tokviz.reduction import METHODS, reduce

BEFORE = sorted(name for name, method in METHODS.items() if method.place == "before")
BASELINES = {"random", "uniform", "centre", "norm"}
pytestmark = [pytest.mark.matrix, pytest.mark.parametrize("name", BEFORE)]


@pytest.fixture
def signals_for(random_signals):
    """Factory: (name, n) -> full signals; a thumbnail and tiles where the method needs them."""

    def make(name, n=18, seed=0):
        crops = any("crop" in needed for needed in METHODS[name].needs)
        return random_signals(n, seed, crops=crops and n % 3 == 0)

    return make


def least(name, n):
    """The smallest count that a method reaches: FastVGGT keeps a frame, and a token per cell.

    DC² keeps the thumbnail and one tile.
    """
    if name == "dc2":
        return 2 * n // 3
    if name != "fastvggt":
        return 1
    rows, cols = {18: (2, 3), 3: (1, 1), 2025: (25, 27)}[n]
    return n // 3 + 2 * max(rows // 2, 1) * max(cols // 2, 1)


def decide(name, signals, keep, **options):
    """The method's decision at this count, or at the smallest that it reaches."""
    return reduce(name, signals, max(keep, least(name, len(signals["index"]))), **options)


def check(reduction, name, n, keep):
    assert reduction.n == n
    keep = max(keep, least(name, n))
    count = reduction.m + reduction.prefix_cls
    assert 1 <= count <= keep
    if not METHODS[name].adaptive:
        assert count == keep
    assert ((reduction.position >= 0) & (reduction.position < n)).all()
    assert np.isfinite(reduction.weights).all()


@pytest.mark.parametrize("keep", [1, 2, 5, 9, 17])
def test_budget_is_met(name, keep, signals_for):
    check(decide(name, signals_for(name), keep), name, 18, keep)


def test_each_token_has_one_fate_and_it_is_the_matrix(name, signals_for):
    reduction = decide(name, signals_for(name), 7)
    matrix = reduction.matrix()
    assert set(reduction.fate) <= set(range(len(FATES)))
    for token, fate in enumerate(reduction.fate):
        column = matrix[:, token]
        if fate == PRUNED:
            assert not column.any()
            assert reduction.group[token] == -1
        else:
            assert column[reduction.group[token]] != 0
            alone = [(matrix[row] != 0).sum() == 1 for row in np.flatnonzero(column == 1)]
            assert (fate == KEPT) == any(alone)
            assert fate in (KEPT, MERGED)


def test_same_signals_give_the_same_matrix(name, signals_for):
    one, again = (decide(name, signals_for(name), 6) for _ in range(2))
    assert (one.matrix() == again.matrix()).all()
    assert (one.position == again.position).all()


def test_signals_are_left_as_they_were(name, signals_for):
    signals, fresh = signals_for(name), signals_for(name)
    decide(name, signals, 6)
    for key, value in fresh.items():
        if isinstance(value, dict):
            assert all((signals[key][layer] == array).all() for layer, array in value.items())
        elif not callable(value):
            assert np.all(signals[key] == value)


def test_keeping_every_token_changes_nothing(name, signals_for):
    reduction = decide(name, signals_for(name), 18)
    if not METHODS[name].adaptive:
        assert (reduction.matrix() == np.eye(18)).all()
    check(reduction, name, 18, 18)


def test_smallest_image_works(name, signals_for):
    n = 3 if any("crop" in needed for needed in METHODS[name].needs) else 1
    reduction = decide(name, signals_for(name, n=n), 1)
    check(reduction, name, n, 1)


def test_duplicate_tokens_never_cost_a_place(name, signals_for):
    signals = signals_for(name)
    for key in ("feats_pre", "feats_post", "img_clip"):
        signals[key] = np.repeat(signals[key][:1], 18, 0)
    for key in ("q", "k", "v"):
        signals[key] = {i: np.repeat(a[:, :1], 19, 1) for i, a in signals[key].items()}
    check(decide(name, signals, 8), name, 18, 8)


def test_equal_scores_are_settled_by_order(name, signals_for):
    signals = signals_for(name)
    for key, value in signals.items():
        if isinstance(value, dict):
            signals[key] = {i: np.full_like(a, 0.05) for i, a in value.items()}
        elif key in ("feats_pre", "feats_post", "img_clip", "relevance", "text_llm", "text_clip"):
            signals[key] = np.ones_like(value)
    one, again = decide(name, signals, 4), decide(name, signals, 4)
    check(one, name, 18, 4)
    assert (one.matrix() == again.matrix()).all()
    pure = {"fastervlm", "vtc_cls", "fopru", "norm", "relevance", "lvlm_csp", "mmtok", "scope"}
    if name in pure:
        assert list(one.kept) == [0, 1, 2, 3]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_a_number_is_refused(name, bad, signals_for):
    method = METHODS[name]
    arrays = [s for s in method.needs if s not in ("grid", "crops", "projector")]
    if not arrays:
        arrays = ["feats_post"]
    for key in arrays:
        signals = signals_for(name)
        value = signals[key]
        poisoned = {i: a.copy() for i, a in value.items()} if isinstance(value, dict) else value
        for array in poisoned.values() if isinstance(value, dict) else [poisoned]:
            array.flat[0] = bad
        with pytest.raises(InputError, match=key):
            reduce(name, {**signals, key: poisoned}, 4)


def test_half_precision_is_decided_in_float32(name, signals_for):
    def cast(value, how):
        if isinstance(value, dict):
            return {i: how(torch.as_tensor(a)) for i, a in value.items()}
        floats = isinstance(value, np.ndarray) and value.dtype.kind == "f"
        return how(torch.as_tensor(value)) if floats else value

    signals = signals_for(name)
    half = {k: cast(v, lambda t: t.half()) for k, v in signals.items()}
    same = {k: cast(v, lambda t: t.half().float()) for k, v in signals.items()}
    assert (decide(name, half, 6).matrix() == decide(name, same, 6).matrix()).all()


@pytest.fixture(scope="module")
def many(random_signals):
    """Signals of 2,025 tokens, and of as many in three crops; made once."""
    return random_signals(2025), random_signals(2025, crops=True)


def test_two_thousand_tokens(name, many):
    method = METHODS[name]
    signals = many[any("crop" in needed for needed in method.needs)]
    asked = (*method.needs, *method.optional, "index", "num_layers")
    given = {key: signals[key] for key in asked if key in signals}
    n = len(signals["index"])
    check(decide(name, given, 100), name, n, 100)


def without(signals, *names):
    """Drop signals, and the whole attention maps from which some of them could be read."""
    return {key: value for key, value in signals.items() if key not in (*names, "full_attn")}


def test_missing_signal_is_named(name, signals_for):
    method = METHODS[name]
    for needed in method.needs:
        signals = without(signals_for(name), needed, method.fallbacks.get(needed))
        with pytest.raises(MissingSignal, match=f"{needed}|{method.fallbacks.get(needed)}"):
            decide(name, signals, 4)


def test_fallback_is_used_and_said(name, signals_for):
    for needed, instead in METHODS[name].fallbacks.items():
        plain = decide(name, signals_for(name), 4)
        signals = without(signals_for(name), needed)
        if instead == "cell":  # places in one crop say as much as its grid
            places = {"tile": np.zeros(18, int), "cell": np.arange(18)}
            crop = {"crops": [("whole", *signals_for(name)["grid"], 0, 0)]}
            alike = decide(name, {**signals_for(name), "grid": None, **crop, **places}, 4)
            assert (alike.matrix() == plain.matrix()).all()
            continue
        assert instead in signals
        reduction = decide(name, signals, 4)
        check(reduction, name, 18, 4)
        assert set(reduction.notes) - set(plain.notes)


def test_every_option_value_is_used_or_refused_with_its_limit(name, signals_for):
    """neighbours=128 on 18 tokens once ran as 17, and a table said 128."""
    for option in METHODS[name].options.values():
        values = option.choices or ((True, False) if option.type is bool else ())
        values = (option.range.low, option.range.high) if option.range else values
        for value in values:
            try:
                done = decide(name, signals_for(name), 7, **{option.name: value})
            except InputError as error:
                limit = r"must be .* to \d+ here, as .*got"
                if not re.match(rf"{option.name} ({limit}|= .* would not be used)", str(error)):
                    raise
                continue
            check(done, name, 18, 7)


def test_card_is_complete(name):
    method = METHODS[name]
    assert method.title
    assert method.summary.endswith((".", "."))
    if name not in BASELINES:
        assert method.paper.startswith("https://arxiv.org/abs/")
        assert method.year >= 2022
        assert method.notes
    assert method.space in ("pre", "post")
    if not method.verified:
        assert "stand-in" in method.notes.lower() or "secondary" in method.notes
    for option in method.options.values():
        assert option.default is None or option.check(option.default) == option.default
