"""Chains of real methods in all three places come out as one right matrix."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tokviz
from tokviz.matrix import KEPT, MERGED, PRUNED
from tokviz.plans import Plan

PROMPT = "what is this?"
TOWER = ("tome", "pitome", "mctf", "tofu", "centerclip", "dymu")
BEFORE = (
    *(
        "fastervlm",
        "divprune",
        "visionzip",
        "prumerge",
        "prumerge_plus",
        "todre",
    ),
    *("vispruner", "average_pool", "uniform", "scope", "dymu", "token_corr"),
)
KEYED = [name for name in BEFORE if "k" in tokviz.METHODS[name].needs]
INSIDE = ("fastv", "pyramiddrop", "sparsevlm", "aim_mask", "pact", "transprune", "gemfilter")


def one_of(names, place):
    known = [name for name in names if tokviz.METHODS[name].place == place]
    return st.sampled_from(known)


steps = st.tuples(
    st.none() | st.tuples(one_of(TOWER, "tower"), st.integers(9, 36)),
    st.lists(st.tuples(one_of(BEFORE, "before"), st.integers(4, 36)), max_size=2),
    st.none() | st.tuples(one_of(INSIDE, "language_model"), st.integers(2, 36)),
)


def chained(tower, before, inside):
    named = [tower, *before, inside]
    plans = [tokviz.plan(name, keep) for name, keep in filter(None, named)]
    whole = Plan()
    for plan in plans:
        whole = whole.then(plan)
    return whole


def named(plan):
    return [step.method for step in plan.steps]


def check(vlm, cat, drawn):
    """Run a chain and compare the trace with the product of its stages."""
    plan = chained(*drawn)
    lacking = [name for name in KEYED if plan.at("tower") and name in named(plan)]
    if lacking:  # key states are gone after a merge in the tower
        with pytest.raises(tokviz.MissingSignal, match="a step inside the vision tower"):
            vlm.answer(cat, PROMPT, plan, 2)
        return
    trace = vlm.answer(cat, PROMPT, plan, 2)
    removing = [stage for stage in trace.stages if stage.removes]
    product, gone = np.eye(trace.n, dtype=np.float32), np.full(trace.n, -1)
    for number, stage in enumerate(trace.stages):
        assert stage.reduction.n == len(product)
        assert stage.reduction.m <= len(product)
        after = stage.reduction.matrix() @ product
        alone, copies = np.zeros(trace.n, bool), (after != 0).sum(1) == 1
        alone[after[copies].argmax(1)] = after[copies].max(1) == 1
        gone[~alone & (gone < 0)] = number
        product = after if stage.removes else product
    whole, entered = trace.reduction, len(product)
    if trace.stages and not trace.stages[-1].removes:
        product = trace.stages[-1].reduction.matrix() @ product
    assert np.allclose(whole.matrix(), product, atol=1e-5)
    assert len(set(whole.position.tolist())) == whole.m
    if "sparsevlm" not in plan.label.lower():  # its recycled rows follow the chosen tokens
        assert (np.diff(whole.position) > 0).all()
    assert ((whole.fate == PRUNED) == ~product.any(0)).all()
    assert ((whole.group < 0) == (whole.fate == PRUNED)).all()
    alive = np.flatnonzero(whole.fate != PRUNED)
    assert (product[whole.group[alive], alive] != 0).all()
    for token in np.flatnonzero(whole.fate == KEPT):
        row = product[whole.group[token]]
        assert np.flatnonzero(row).tolist() == [token]
    assert trace.went_at.tolist() == gone.tolist()
    assert MERGED not in whole.fate or any(not s.reduction.is_selection for s in removing)
    text = len(trace.prompt_tokens) - trace.n
    assert trace.kv_lengths[-1] == text + entered + int(whole.prefix_cls) + trace.t - 1


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps)
def test_a_chain_is_one_matrix_and_every_token_has_the_right_fate(vlm, cat, drawn):
    check(vlm, cat, drawn)


@pytest.mark.parametrize("later", ["divprune", "fastv", "pyramiddrop"])
def test_a_budget_above_what_an_adaptive_method_left_keeps_all_of_it(vlm, cat, later):
    """PruMerge chooses its own count; what comes after must neither fail nor pretend to decide."""
    first = tokviz.plan("prumerge", keep=20)
    left = vlm.answer(cat, PROMPT, first, 2).reduction.m
    trace = vlm.answer(cat, PROMPT, first.then(tokviz.plan(later, keep=30)), 2)
    assert trace.reduction.m == left
    title = tokviz.METHODS[later].title
    said = f"Earlier steps left {left} tokens, fewer than the 30 that {title} should keep"
    assert [note for note in trace.notes if note.startswith(said)]
    with pytest.raises(tokviz.InputError, match="keep must be 1 to 36"):
        vlm.answer(cat, PROMPT, first.then(tokviz.plan(later, keep=37)), 2)


def test_the_second_selection_after_a_tower_merge_reads_the_tokens_that_are_left(vlm, cat):
    """It read the features at the places of the first tokens, or ran out of range."""
    plan = chained(("dymu", 21), [("uniform", 14), ("norm", 8)], None)
    trace = vlm.answer(cat, PROMPT, plan, 2)
    first, second = trace.stages[1].reduction, trace.stages[2].reduction
    alone = vlm.answer(cat, PROMPT, chained(("dymu", 21), [("norm", 8)], None), 2)
    expected = alone.stages[1].reduction.score[first.position]
    assert np.allclose(second.score, expected, atol=1e-5)


def test_a_second_method_reads_the_key_states_of_the_tokens_that_are_left(vlm, cat):
    """VisionZip after another selection was refused: its keys were still those of all tokens."""
    plan = chained(None, [("uniform", 30), ("visionzip", 12)], None)
    trace = vlm.answer(cat, PROMPT, plan, 2)
    assert trace.reduction.m == 12
    assert trace.stages[1].reduction.n == 30
