"""Promises that every method inside the tower or inside the language model must keep."""

import math
import re

import numpy as np
import pytest
import torch

from tokviz.errors import InputError, TokvizError
from tokviz.matrix import FATES
from tokviz.reduction import METHODS, reduce
from tokviz.reduction.method import EFFECTS
from tokviz.reduction.parts.grouping import merged_sizes
from tokviz.reduction.signal_table import SIGNALS
from tokviz.reduction.signals import Signals

pytestmark = pytest.mark.matrix

TOWER = sorted(name for name in METHODS if METHODS[name].place == "tower")
LANGUAGE_MODEL = sorted(name for name in METHODS if METHODS[name].place == "language_model")
INSIDE = TOWER + LANGUAGE_MODEL
EXITS = {"todre_exit", "dyvte", "yopo", "vtw"}
UNTIED = {*EXITS, "gemfilter", "catp_stage2", "prunevid_stage"}
"""Pooling favours the middle of the sequence, and two images are ranked apart."""
HALVING = {"tome", "tofu", "dymu", "pitome", "mctf"}
MANY = 2025
SLOW = {"centerclip"}
"""Distances of every token to every cluster: near the identity it has few rounds."""
SOFT, NOT_A_MEAN = {"soft_merge", "apet_stage"}, {"tofu"}
ALL_COME_BACK = {"gamma_mod", "lvlm_csp_stages"}
"""All tokens take part again in some later layer."""
OVERWRITES = {"apet_stage"}
"""Basis tokens stand at the places of others, which they replace."""
MERGES_ONLY = [name for name in INSIDE if METHODS[name].kind == "merge" and name not in NOT_A_MEAN]


def grid_for(n):
    rows = next(r for r in range(math.isqrt(n), 0, -1) if n % r == 0)
    return [rows, n // rows]


def inside_signals(n, seed=0):
    """Every signal that a decision inside the tower or the language model can ask for."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))

    def softmax(*shape):
        return normal(*shape).softmax(-1)

    text, system = 4, 2
    rows = system + n + text
    frames = [("tile", 1, n - n // 2, 0, 0), ("tile", 1, n // 2, 0, 0)]
    return {
        "keys": normal(2, n, 8),
        "hidden": normal(n, 8),
        "sizes": torch.from_numpy(rng.integers(1, 5, n).astype(np.float32)),
        "recv_attn": softmax(n),
        "cls_attn": 0.9 * softmax(2, n),
        "cls_logits": normal(2, n),
        **{name: normal(2, n + 1, 4) for name in ("q", "k", "v")},
        "carried": normal(n).abs(),
        "prefix": 1,
        "layer": 4,  # the last but one of six: FlowCut's last cut
        "num_layers": 6,
        "grid": grid_for(n),
        "crops": frames if n > 1 else [("whole", 1, 1, 0, 0)],
        "index": np.arange(n),
        "llm_attn_last": 0.8 * softmax(2, n),
        "llm_attn_last_before": 0.8 * softmax(2, n),
        "llm_peek_last": 0.8 * softmax(2, n),
        "llm_attn_text": 0.8 * softmax(2, text, n),
        "llm_peek_text": 0.8 * softmax(2, text, n),
        "llm_attn_text_text": 0.2 * softmax(2, text, text),
        "llm_attn_all": softmax(2, rows, rows),
        "llm_logits_all": normal(rows, rows),
        "llm_attn_prior": softmax(n),
        "llm_visual_rows": system + np.arange(n),
        "llm_attn_mean_query": softmax(2, n),
        "llm_keys": normal(2, n, 8),
        "llm_qk_last": normal(2, n),
        "llm_rope_bias": 1 + normal(text, n).abs(),
        "llm_text_score": softmax(text),
        "llm_text_mass": [0.5, 0.4, 0.3, 0.3, 0.2, 0.01],
        "llm_transition": normal(n).abs(),
        "llm_tower_map": softmax(n),
        "llm_shared_neurons": torch.from_numpy(rng.integers(0, 300, n).astype(np.float32)),
        "llm_hidden": normal(n, 8),
        "llm_hidden_last": normal(8),
        "llm_hidden_before": normal(n, 8),
        "llm_normed": normal(n, 8),
        "llm_text_normed": normal(text, 8),
        "llm_keys_before": normal(2, n, 8),
        "llm_values_before": normal(2, n, 8),
        "llm_text_keys_before": normal(2, text, 8),
        "llm_hidden_query": normal(8),
        "llm_image": (np.arange(n) >= n - n // 3).astype(int),
        "llm_lens_prob": 0.5 + 0.5 * softmax(n, 2)[:, 0],
        "llm_lens_token": rng.integers(0, 3, n),
    }


def needed(name, signals):
    method = METHODS[name]
    wanted = (*method.needs, *method.optional)
    return {key: signals[key] for key in wanted if key in signals}


def decide(name, n, keep, seed=0, **options):
    return reduce(name, needed(name, inside_signals(n, seed)), keep, **options)


def smallest(name, n):
    """The smallest count that one decision reaches."""
    if name in HALVING:
        return n - n // 2
    if name == "tomesd":
        rows, cols = grid_for(n)
        return (rows // min(rows, 2)) * (cols // min(cols, 2))
    return 1


def test_both_places_have_methods():
    assert {"tome", "pitome", "mctf", "dymu", "tomesd", "centerclip"} <= set(TOWER)
    assert {"fastv", "pyramiddrop", "sparsevlm", "aim_mask", "pact"} <= set(LANGUAGE_MODEL)


@pytest.mark.parametrize("name", INSIDE)
def test_declarations_are_complete(name):
    method = METHODS[name]
    assert method.effect in EFFECTS
    assert method.removes == (method.effect in ("remove", "restart"))
    assert {*method.needs, *method.optional, *method.fallbacks} <= set(SIGNALS)
    assert method.schedule is not None
    assert method.paper.startswith("https://arxiv.org/abs/")
    assert method.verified or "stand-in" in method.notes.lower()


@pytest.mark.parametrize("name", INSIDE)
def test_what_a_method_inside_needs_is_enough_or_it_says_what_is_not(name):
    """FlowCut once asked for nothing more and died over a depth that nobody had named."""
    everything = inside_signals(24)
    keep = max(smallest(name, 24), 12)
    given = {need: everything[need] for need in METHODS[name].needs}
    try:
        done = reduce(name, given, keep)
    except TokvizError as error:
        words = set(re.findall(r"\w+", str(error)))
        named = [word for word in {*SIGNALS} - {*given} if word in words]
        if not named:
            pytest.fail(f"it must name a signal that would do: {error}")
        more = {signal: everything[signal] for signal in named if signal in everything}
        done = reduce(name, {**given, **more}, keep)
    assert done.n == 24


@pytest.mark.parametrize("keep", [12, 13, 17, 23])
@pytest.mark.parametrize("name", INSIDE)
def test_the_count_is_exact(name, keep):
    keep = max(keep, smallest(name, 24))
    r = decide(name, 24, keep)
    if METHODS[name].adaptive:
        assert (r.m == 0) if name in EXITS else (1 <= r.m <= keep)
    else:
        assert r.m == keep


@pytest.mark.parametrize("name", INSIDE)
def test_every_token_has_one_fate_and_one_place(name):
    r = decide(name, 24, 18)
    assert sum((r.fate == value).sum() for value in range(len(FATES))) == 24
    assert (r.matrix().any(0) == (r.group >= 0)).all()
    if name not in SOFT:
        assert (np.bincount(r.cols, minlength=24) <= 1).all()
    assert len(set(r.position.tolist())) == r.m
    if name not in OVERWRITES:
        assert r.group[r.position].tolist() == list(range(r.m))


@pytest.mark.parametrize("name", INSIDE)
def test_same_signals_same_decision(name):
    first, second = decide(name, 24, 18), decide(name, 24, 18)
    assert (first.matrix() == second.matrix()).all()
    assert (first.position == second.position).all()


@pytest.mark.parametrize("n", [1, 2, 24])
@pytest.mark.parametrize("name", INSIDE)
def test_keeping_every_token_changes_nothing(name, n):
    r = METHODS[name].decide(
        Signals(needed(name, inside_signals(n))), n, **METHODS[name].check_options({})
    )
    assert (r.matrix() == np.eye(n)).all()


@pytest.mark.parametrize("n", [2, 3, 24])
@pytest.mark.parametrize("name", INSIDE)
def test_the_smallest_count_is_reached(name, n):
    keep = smallest(name, n)
    r = decide(name, n, keep)
    assert r.m <= keep
    if keep > 1:
        with pytest.raises(InputError, match=f"keep must be {keep} to {n}"):
            decide(name, n, keep - 1)


@pytest.mark.parametrize(
    "name", [n for n in INSIDE if METHODS[n].kind == "select" and n not in UNTIED]
)
def test_ties_go_to_the_lower_token(name):
    flat = {k: same(k, v) for k, v in needed(name, inside_signals(12)).items()}
    r = reduce(name, flat, 5)
    assert r.kept.tolist() == list(range(r.m))


def same(name, value):
    if SIGNALS[name].integer or name in ("num_layers", "crops", "grid"):
        return np.zeros_like(value) if name.startswith("llm_lens") else value
    return torch.full_like(torch.as_tensor(value), 0.25)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", INSIDE)
def test_a_bad_number_is_refused(name, bad):
    signals = needed(name, inside_signals(8))
    for key in METHODS[name].needs:
        if SIGNALS[key].integer or not SIGNALS[key].shape:
            continue
        spoilt = torch.as_tensor(signals[key]).clone()
        spoilt.view(-1)[-1] = bad
        with pytest.raises(InputError, match=f"{key} holds NaN or infinite"):
            reduce(name, {**signals, key: spoilt}, 6)


@pytest.mark.parametrize("name", INSIDE)
def test_half_precision_decides_like_float32(name):
    exact = needed(name, inside_signals(24))
    half = {k: v.half() if torch.is_tensor(v) else v for k, v in exact.items()}
    widened = {k: v.float() if torch.is_tensor(v) else v for k, v in half.items()}
    first, second = reduce(name, half, 18), reduce(name, widened, 18)
    assert (first.matrix() == second.matrix()).all()


@pytest.fixture(scope="module")
def many():
    """Signals of 2,025 tokens, made once; their attention maps are those of one head."""
    made = inside_signals(MANY)
    return {**made, "llm_attn_all": made["llm_attn_all"][:1]}


@pytest.mark.parametrize("name", INSIDE)
def test_two_thousand_tokens(name, many):
    keep = max(MANY - 100 if name in SLOW else 1050, smallest(name, MANY))
    r = reduce(name, needed(name, many), keep)
    assert r.n == MANY
    assert r.m == keep or METHODS[name].adaptive


@pytest.mark.parametrize("name", INSIDE)
def test_duplicate_tokens_never_cost_a_place(name):
    flat = {k: same(k, v) for k, v in needed(name, inside_signals(24)).items()}
    r = reduce(name, flat, 18)
    assert r.m == 18 or METHODS[name].adaptive
    assert len(set(r.position.tolist())) == r.m
    assert np.isfinite(r.weights).all()


@pytest.mark.parametrize(
    "name", [n for n in LANGUAGE_MODEL if METHODS[n].kind == "select" and n not in UNTIED]
)
def test_permuted_tokens_give_the_permuted_choice(name):
    signals, shuffle = needed(name, inside_signals(24)), np.random.default_rng(5).permutation(24)
    moved = {k: permuted(k, v, shuffle) for k, v in signals.items()}
    there, back = reduce(name, signals, 9), reduce(name, moved, 9)
    assert there.kept.tolist() == sorted(shuffle[back.kept])


def permuted(name, value, shuffle):
    """Return a signal with its visual tokens in another order."""
    letters = SIGNALS[name].shape.split()
    if "n" not in letters:
        return value
    return np.take(np.asarray(value), shuffle, axis=letters.index("n"))


@pytest.mark.parametrize("name", MERGES_ONLY)
def test_merging_conserves(name):
    r = decide(name, 24, 18)
    assert r.matrix().sum(1) == pytest.approx(np.ones(r.m), abs=1e-6)
    assert len(np.unique(r.cols)) == 24


@pytest.mark.parametrize("name", MERGES_ONLY + ["soft_merge"])
def test_sizes_add_up_to_all_patches(name):
    sizes = inside_signals(24)["sizes"].numpy()
    assert merged_sizes(decide(name, 24, 18), sizes).sum() == pytest.approx(sizes.sum())


@pytest.mark.parametrize(("n", "layers"), [(576, 32), (144, 6), (576, 24), (10, 4), (256, 28)])
@pytest.mark.parametrize("name", INSIDE)
def test_schedules_end_at_the_budget_and_never_rise(name, n, layers):
    for keep in {n, n - 1, n // 2, n // 4 + 1, max(n // 8, 3), 3}:
        if keep * 2**layers < n:
            continue
        stages = METHODS[name].stages(n, keep, layers)
        at, counts = [s.layer for s in stages], [s.keep for s in stages]
        if name in ALL_COME_BACK:
            counts = [count for count in counts if count < n] or [keep]
        assert counts[-1] == keep
        assert counts == sorted(counts, reverse=True)
        assert counts[0] <= n
        assert at == sorted(set(at))
        assert 0 <= at[0] <= at[-1] < layers
        if name in LANGUAGE_MODEL:
            assert at[0] >= 1


@pytest.mark.parametrize("name", sorted(HALVING))
def test_a_tower_never_more_than_halves(name):
    for keep in (3, 5, 20, 100, 143):
        counts = [144] + [s.keep for s in METHODS[name].stages(144, keep, 6)]
        assert all(b >= -(-a // 2) for a, b in zip(counts, counts[1:], strict=False))


@pytest.mark.parametrize("name", sorted(HALVING))
def test_an_unreachable_budget_says_the_smallest(name):
    with pytest.raises(InputError, match="down to 9 at best, got keep = 8"):
        METHODS[name].stages(576, 8, 6)


@pytest.mark.parametrize("name", LANGUAGE_MODEL)
def test_one_layer_is_no_language_model(name):
    with pytest.raises(InputError, match="at least 2 layers"):
        METHODS[name].stages(144, 18, 1)
