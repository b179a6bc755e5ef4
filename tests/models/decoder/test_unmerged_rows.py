"""DyMU's attention reads a merged token at its members' places, and computes it once elsewhere."""

import numpy as np
import pytest
import torch

import tokviz
from tokviz.capture import Capture
from tokviz.models.attention_call import AttentionCall
from tokviz.models.decoder.unmerged_rows import MergedCall, UnmergedRows
from tokviz.models.families.parts import attention_of
from tokviz.models.hooks import hooked

pytestmark = pytest.mark.matrix

PROMPT = "what is this?"
WITHOUT_NEWLINES = ["llava", "qwen2_vl", "qwen2_5_vl", "paligemma", "gemma3", "internvl"]


def two_thirds(vlm, cat, tokens=3, **options):
    n = vlm.prepare(cat, PROMPT).asked.layout.n
    return vlm.answer(cat, PROMPT, tokviz.plan("dymu", -(-n * 2 // 3), **options), tokens)


def entering(vlm, cat):
    """Run DyMU; return its trace and the states that the model gave to layer 0, [prompt, d]."""
    found = []

    def see(module, args, kwargs):
        found.append((args[0] if args else kwargs["hidden_states"])[0].clone())

    layer = vlm.family.decoder(vlm.model).layers[0]
    vlm.answer(cat, PROMPT, None, 1)  # a model's first answer also looks for sinks
    with hooked([layer.register_forward_pre_hook(see, with_kwargs=True)]):
        trace = two_thirds(vlm, cat)
    return trace, found[0]


def with_copies(vlm, cat, states, members):
    """The first token's probabilities of the library's own forward on the full prompt.

    Every row stays. Members of a group enter as copies of one state, and stay copies, because each
    layer's attention output is averaged over them.
    """

    def enter(module, args, kwargs):
        if args:
            return (states[None], *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": states[None]}

    def average(module, args, output):
        mean = output[0].clone()
        for group in members:
            mean[0, group] = output[0][0, group].mean(0)
        return (mean, *output[1:])

    layers = vlm.family.decoder(vlm.model).layers
    handles = [layers[0].register_forward_pre_hook(enter, with_kwargs=True)]
    handles += [attention_of(layer).register_forward_hook(average) for layer in layers]
    prepared = vlm.prepare(cat, PROMPT)
    with vlm.guarded(), torch.no_grad(), hooked(handles):
        out = vlm.model(**prepared.inputs, position_ids=prepared.positions, logits_to_keep=1)
    return out.logits[0, -1].float().softmax(-1)


@pytest.mark.parametrize("name", WITHOUT_NEWLINES)
def test_an_answer_equals_that_of_a_prompt_with_copies(checkpoint, cat, name):
    vlm = tokviz.load(checkpoint(name))
    trace, states = entering(vlm, cat)
    done, layout = trace.stages[0].reduction, trace.layout
    members = [layout.position[done.group == g].astype(np.int64) for g in range(done.m)]
    for group in members:
        assert (states[group] == states[group[0]]).all()
    theirs = with_copies(vlm, cat, states, members)
    assert not done.is_selection
    assert trace.arrays["answer_prob"][0] == pytest.approx(float(theirs.max()), abs=1e-5)
    assert not any("attention read each merged token" in why for why in whys(trace))


def whys(trace):
    return trace.model["status"][0]["why"]


def test_the_cache_holds_a_key_for_every_member(vlm, cat):
    whole = vlm.answer(cat, PROMPT, None, 3)
    assert two_thirds(vlm, cat).kv_bytes == whole.kv_bytes
    assert two_thirds(vlm, cat, unmerge=False).kv_bytes < whole.kv_bytes


def test_off_it_is_tome_at_the_places_of_first_patches(vlm, cat):
    ours = two_thirds(vlm, cat, unmerge=False)
    n = ours.layout.n
    theirs = vlm.answer(cat, PROMPT, tokviz.plan("tome", -(-n * 2 // 3), positions="keep"), 3)
    np.testing.assert_array_equal(ours.arrays["answer_prob"], theirs.arrays["answer_prob"])


def test_recorded_attention_is_summed_over_places(vlm, cat):
    trace = two_thirds(vlm, cat)
    mass = trace.arrays["mass"]
    np.testing.assert_allclose(mass.sum(-1), 1, atol=2e-3)


def test_rows_of_a_call_are_means_over_queries_of_sums_over_keys():
    torch.manual_seed(0)
    row_at = torch.tensor([0, 1, 2, 1, 2, 2, 3])
    q, k, v = (torch.randn(1, 2, 7, 4) for _ in range(3))
    call = MergedCall(
        AttentionCall(None, q, k, v, None, None, True), UnmergedRows(row_at), written=0
    )
    every = (q @ k.transpose(-1, -2) / 2).masked_fill(torch.ones(7, 7).triu(1) > 0, -torch.inf)
    every = every.softmax(-1)[0]
    one_hot = torch.nn.functional.one_hot(row_at).float()
    expected = (one_hot / one_hot.sum(0)).T @ every @ one_hot
    torch.testing.assert_close(call.rows(torch.arange(4))[0], expected)
    torch.testing.assert_close(call.last_row(), expected[:, -1])


def test_a_written_token_sees_every_place_that_a_sliding_cache_kept():
    row_at = torch.tensor([0, 1, 1, 2])
    q, k = torch.randn(1, 1, 1, 4), torch.randn(1, 1, 3, 4)  # 4 + 1 keys, of which 3 are left
    call = MergedCall(AttentionCall(None, q, k, k, None, None, True), UnmergedRows(row_at), 1)
    weights = (q @ k.transpose(-1, -2) / 2).softmax(-1)[0, 0, 0]
    torch.testing.assert_close(call.last_row()[0, 1:], weights)
    assert call.last_row()[0, 0] == 0


def test_keeping_everything_without_thresholds_changes_nothing(vlm, cat):
    n = vlm.prepare(cat, PROMPT).asked.layout.n
    ours = vlm.answer(cat, PROMPT, tokviz.plan("dymu", n), 3).arrays["answer_prob"]
    assert (ours == vlm.answer(cat, PROMPT, None, 3).arrays["answer_prob"]).all()


@pytest.mark.parametrize(
    ("name", "later", "why"),
    [
        ("llava", tokviz.plan("norm", 23, positions="keep"), "chose among the merged tokens"),
        ("llava", tokviz.plan(mitigation="pai"), "acts on the merged tokens"),
        ("qwen3_vl", None, "adds features of the tower's layers"),
    ],
)
def test_where_it_is_not_done_the_run_says_so(checkpoint, cat, name, later, why):
    vlm = tokviz.load(checkpoint(name))
    n = vlm.prepare(cat, PROMPT).asked.layout.n
    plan = tokviz.plan("dymu", -(-n * 2 // 3))
    trace = vlm.answer(cat, PROMPT, plan.then(later) if later else plan, 1)
    assert any(why in reason for reason in whys(trace))


@pytest.mark.parametrize("name", ["llava_next", "llava_onevision", "idefics3", "granite_vision"])
def test_it_runs_on_tiles_and_newlines(checkpoint, cat, name):
    vlm = tokviz.load(checkpoint(name))
    assert not any("attention read each" in why for why in whys(two_thirds(vlm, cat)))


def test_in_bfloat16_the_flow_of_merged_tokens_is_recorded(checkpoint, cat):
    vlm = tokviz.load(checkpoint("llava"), dtype="bfloat16")
    capture = Capture(flow=True, states=True, lens=4)
    trace = vlm.answer(cat, PROMPT, tokviz.plan("dymu", 24), 3, capture=capture)
    flow = trace.arrays["flow"][..., :4, :]
    np.testing.assert_allclose(np.nansum(flow, -1)[~np.isnan(flow[..., 0])], 1, atol=1e-2)
