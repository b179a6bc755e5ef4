"""Promises of every method of the KV cache, and its worked examples."""

import numpy as np
import pytest
import torch

from tokviz.errors import InputError
from tokviz.matrix import KEPT, MERGED, PRUNED
from tokviz.per_head import of_heads
from tokviz.reduction import METHODS, reduce
from tokviz.reduction.method import EFFECTS
from tokviz.reduction.signal_table import SIGNALS

CACHE = sorted(name for name, entry in METHODS.items() if entry.place == "cache")
SYSTEM, TEXT, HEADS, KEY_HEADS = 3, 5, 4, 2


def cache_signals(n=24, seed=0):
    """Every signal that a method of the cache can ask for: text, n visual tokens, text."""
    generator = torch.Generator().manual_seed(seed)
    rows = SYSTEM + n + TEXT
    attention = torch.randn(HEADS, rows, rows, generator=generator)
    attention = attention.masked_fill(torch.ones(rows, rows).triu(1).bool(), -torch.inf).softmax(-1)
    return {
        "cache_attn_window": attention[:, -64:],
        "cache_attn_sum": attention.sum(1),
        "cache_attn_after": attention[:, -TEXT:].sum(1),
        "cache_sparsity": torch.tensor([0.9, 0.5, 0.7, 0.2]),
        "cache_keys": torch.randn(KEY_HEADS, rows, 8, generator=generator),
        "llm_visual_rows": SYSTEM + np.arange(n),
        "kv_heads": KEY_HEADS,
        "layer": 2,
        "num_layers": 4,
    }


def decide(name, keep, n=24, seed=0, **options):
    entry = METHODS[name]
    given = {key: cache_signals(n, seed)[key] for key in (*entry.needs, *entry.optional)}
    return reduce(name, given, keep, **options)


@pytest.mark.parametrize("name", CACHE)
def test_declarations_are_complete(name):
    entry = METHODS[name]
    assert entry.effect == "evict" in EFFECTS
    assert (entry.removes, entry.positions, entry.images) == (False, "keep", "together")
    assert {*entry.needs, *entry.optional} <= set(SIGNALS)
    assert entry.paper.startswith("https://arxiv.org/abs/")


@pytest.mark.parametrize("keep", [1, 2, 7, 12, 23])
@pytest.mark.parametrize("name", CACHE)
def test_every_head_keeps_the_budget(name, keep):
    done = decide(name, keep)
    assert done.heads.heads == KEY_HEADS
    counts = set(done.heads.counts.tolist())
    assert len(counts) == 1
    assert counts == {keep} or METHODS[name].adaptive
    union = np.unique(np.concatenate([done.heads.kept(head) for head in range(KEY_HEADS)]))
    assert done.kept.tolist() == union.tolist() or METHODS[name].kind == "both"
    assert done.position.tolist() == union.tolist()


@pytest.mark.parametrize("name", CACHE)
def test_keeping_every_token_changes_nothing(name):
    assert (decide(name, 24).matrix() == np.eye(24)).all()


@pytest.mark.parametrize("name", CACHE)
def test_same_signals_same_decision_and_signals_stay(name):
    first, second = decide(name, 9), decide(name, 9)
    assert (first.heads.fate == second.heads.fate).all()
    signals, fresh = cache_signals(), cache_signals()
    reduce(name, {key: signals[key] for key in METHODS[name].needs}, 9)
    assert all(np.all(np.asarray(signals[k]) == np.asarray(fresh[k])) for k in fresh)


@pytest.mark.parametrize("name", CACHE)
def test_query_heads_must_fill_the_key_heads(name):
    given = {key: cache_signals()[key] for key in METHODS[name].needs}
    if not any(key.startswith("cache_attn") for key in given):
        return
    with pytest.raises(InputError, match="kv_heads must divide the 4 query heads, got 3"):
        reduce(name, {**given, "kv_heads": 3}, 5)


def flat_window(columns, rows=12, window=2, heads=1):
    """Attention of the last rows that is `columns` in the first of them, else 0."""
    attention = torch.zeros(heads, window, rows)
    for column, value in columns.items():
        attention[:, 0, column] = value
    return {"cache_attn_window": attention, "llm_visual_rows": np.arange(1, 9), "kv_heads": 1}


def test_snapkv_pools_along_the_prompt_across_the_images_border():
    """Row 0 is text: its attention reaches token 0 (row 1) through the window of three."""
    signals = flat_window({0: 0.9, 5: 0.5})
    done = reduce("snapkv", signals, 2, window=2, kernel=3)
    assert done.heads.kept(0).tolist() == [0, 3]
    assert done.score.tolist() == pytest.approx([0.3, 0, 0, 0.5 / 3, 0.5 / 3, 0.5 / 3, 0, 0])
    assert reduce("snapkv", signals, 1, window=2, kernel=3, pooling="none").kept.tolist() == [4]


def test_rows_of_the_window_take_the_budget_first():
    signals = {**flat_window({5: 0.5}), "llm_visual_rows": np.arange(4, 12)}
    assert reduce("snapkv", signals, 3, window=2, kernel=1).kept.tolist() == [1, 6, 7]
    assert reduce("snapkv", signals, 1, window=2, kernel=1).kept.tolist() == [7]


def test_by_default_the_window_is_at_most_half_of_the_budget():
    """Else the last 32 rows of a short question would leave nothing to attention."""
    signals = {**flat_window({0: 0.3, 3: 0.5}, window=12), "llm_visual_rows": np.arange(12)}
    signals["cache_attn_window"][:, 10:, 0] = 0.4
    kept = reduce("snapkv", signals, 4, kernel=1).kept.tolist()
    assert kept == [0, 1, 10, 11]


def test_an_even_kernel_is_refused():
    with pytest.raises(InputError, match="kernel must be odd"):
        reduce("snapkv", flat_window({5: 0.5}), 2, kernel=4)


def test_heads_that_share_a_key_head_are_averaged():
    attention = torch.tensor([[[0.6, 0, 0.1, 0.3]], [[0, 0.5, 0.2, 0.3]]])
    given = {"cache_attn_window": attention, "llm_visual_rows": [0, 1, 2]}
    alone = reduce("snapkv", {**given, "kv_heads": 2}, 1, window=1, kernel=1)
    assert [alone.heads.kept(head).tolist() for head in (0, 1)] == [[0], [1]]
    assert alone.kept.tolist() == [0, 1]
    assert reduce("snapkv", {**given, "kv_heads": 1}, 1, window=1, kernel=1).kept.tolist() == [0]


def budgets(n, keep, layers, **options):
    return [stage.keep for stage in METHODS["pyramidkv"].stages(n, keep, layers, **options)]


def test_pyramidkv_falls_evenly_and_has_the_budget_as_its_mean():
    exact = budgets(576, 64, 32)
    assert (exact[0], exact[-1]) == (125, 3)
    assert np.mean(exact) == pytest.approx(64, abs=0.5)
    official = budgets(576, 64, 32, variant="code", window=8)
    assert (official[0], official[-1]) == (125, 125 - 31 * 3)
    assert budgets(100, 60, 4) == [60] * 4  # 100 + 8 < 120
    assert budgets(100, 50, 3) == [98, 50, 2]


def test_h2o_keeps_heavy_hitters_and_the_latest_rows():
    given = {"cache_attn_sum": [[3.0, 1, 2, 0.5, 0.4, 0.3]], "kv_heads": 1}
    done = reduce("h2o", {**given, "llm_visual_rows": range(6)}, 4)
    assert done.kept.tolist() == [0, 2, 4, 5]
    assert reduce("h2o", {**given, "llm_visual_rows": range(6)}, 3, recent=0).kept.tolist() == [
        0, 1, 2,
    ]  # fmt: skip
    # where the last rows are text, their share goes to heavy hitters
    assert reduce("h2o", {**given, "llm_visual_rows": range(4)}, 3).kept.tolist() == [0, 1, 2]


def test_streamingllm_keeps_the_first_rows_and_the_last():
    done = reduce("streamingllm", {"llm_visual_rows": range(2, 10), "kv_heads": 2}, 4)
    assert done.kept.tolist() == [0, 1, 6, 7]
    assert done.roles["sink"].tolist() == [0, 1]
    few = reduce("streamingllm", {"llm_visual_rows": range(8), "kv_heads": 2}, 2)
    assert few.kept.tolist() == [0, 1]


def test_vl_cache_gives_a_dense_layer_more():
    counts = []
    for layer in range(4):
        given = {key: cache_signals()[key] for key in METHODS["vl_cache"].needs}
        counts.append(int(reduce("vl_cache", {**given, "layer": layer}, 8).heads.counts[0]))
    # density 0.1, 0.5, 0.3, 0.8 of 1.7 in 4 layers of 8: the last rows are text and cost nothing
    assert counts == [1, 9, 5, 15]
    given = {key: cache_signals()[key] for key in METHODS["vl_cache"].needs}
    assert reduce("vl_cache", given, 8, even=True).heads.counts.tolist() == [8, 8]
    joint = reduce("vl_cache", given, 8, per_head=False)
    assert joint.heads.kept(0).tolist() == joint.heads.kept(1).tolist()


def test_look_m_merges_into_the_most_similar_entry():
    """Token 2 is like token 0, token 3 like the text in row 4."""
    keys = torch.tensor([[[1.0, 0], [0, 1], [1, 0.1], [-1, 0.1], [-1, 0]]])
    given = {"cache_attn_sum": [[5.0, 4, 1, 1, 9]], "cache_keys": keys, "kv_heads": 1}
    done = reduce("look_m", {**given, "llm_visual_rows": range(4)}, 2, recent=0)
    assert done.heads.fate.tolist() == [[KEPT, KEPT, MERGED, MERGED]]
    assert done.matrix() == pytest.approx(np.array([[0.75, 0, 0.25, 0], [0, 1, 0, 0]]))
    assert done.fate.tolist() == [MERGED, KEPT, MERGED, PRUNED]  # the text's entry is no row of W
    assert done.heads.text_row.tolist() == [[-1, -1, -1, 4]]
    dropped = reduce("look_m", {**given, "llm_visual_rows": range(4)}, 2, recent=0, merge="none")
    assert dropped.heads.fate.tolist() == [[KEPT, KEPT, PRUNED, PRUNED]]


def test_the_union_of_heads_is_the_mean_over_those_that_keep_a_token():
    done = of_heads([[0, 0, -1], [0, 1, 1]], [[0, 0.5, 0], [0, 0, 0.25]])
    assert done.position.tolist() == [0, 1]
    assert done.matrix() == pytest.approx(np.array([[0.75, 0.25, 0], [0, 0.75, 0.25]]))
    assert done.heads.counts.tolist() == [1, 2]
