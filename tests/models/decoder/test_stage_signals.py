"""The signals of a stage equal what an eager copy of the model gives, key heads included."""

import numpy as np
import pytest
import torch
from transformers import LlavaForConditionalGeneration

import tokviz
from tokviz.matrix import Reduction
from tokviz.reduction import METHODS, Stage, method

PROMPT = "what is this?"
LAYER = 2
"The stage is before this layer; pairs of query heads share a key head."
NEEDS = (
    "llm_attn_last", "llm_attn_last_before", "llm_attn_text", "llm_attn_mean_query",
    "llm_peek_last", "llm_peek_text", "llm_hidden", "llm_hidden_before", "llm_keys",
    "llm_keys_before", "llm_values_before", "llm_text_keys_before", "llm_qk_last", "llm_lens_prob",
)  # fmt: skip


@pytest.fixture(scope="module")
def given(vlm, cat):
    """The signals that the stage got: name -> array."""
    seen = {}

    def decide(signals, keep):
        seen.update({name: signals[name] for name in NEEDS})
        return Reduction.select(np.arange(keep), signals.n)

    method(
        "sees-signals",
        title="sees-signals",
        place="language_model",
        needs=NEEDS,
        schedule=lambda n, keep, layers: [Stage(LAYER, keep)],
    )(decide)
    vlm.answer(cat, PROMPT, tokviz.plan("sees-signals", keep=9), 1)
    METHODS.remove("sees-signals")
    return seen


@pytest.fixture(scope="module")
def eager(vlm, folder, cat):
    """An eager copy, its pass over the prompt, and the rows of visual tokens and of text after."""
    prepared = vlm.prepare(cat, PROMPT)
    model = LlavaForConditionalGeneration.from_pretrained(folder, attn_implementation="eager")
    with torch.inference_mode():
        output = model(
            **prepared.inputs, output_attentions=True, output_hidden_states=True, use_cache=True
        )
    visual = torch.as_tensor(prepared.asked.layout.position.astype(np.int64))
    after = torch.arange(int(visual[-1]) + 1, len(prepared.asked.prompt_ids))
    return model.eval(), output, visual, after


def close(found, expected):
    assert found.shape == expected.shape
    assert torch.allclose(found.float(), expected.float(), atol=2e-5, rtol=1e-4)


def test_the_model_shares_key_heads(vlm):
    text = vlm.model.config.get_text_config()
    assert text.num_attention_heads > text.num_key_value_heads > 1


def test_attention_of_the_layers_around_the_stage(given, eager):
    _, output, visual, after = eager
    maps = [each[0] for each in output.attentions]
    close(given["llm_attn_last"], maps[LAYER - 1][:, -1, visual])
    close(given["llm_attn_last_before"], maps[LAYER - 2][:, -1, visual])
    close(given["llm_attn_text"], maps[LAYER - 1][:, after][..., visual])
    close(given["llm_peek_last"], maps[LAYER][:, -1, visual])
    close(given["llm_peek_text"], maps[LAYER][:, after][..., visual])


def test_states_keys_and_values(given, eager):
    _, output, visual, after = eager
    states, layers = output.hidden_states, output.past_key_values.layers
    close(given["llm_hidden"], states[LAYER][0, visual])
    close(given["llm_hidden_before"], states[LAYER - 1][0, visual])
    close(given["llm_keys"], layers[LAYER].keys[0][:, visual])
    close(given["llm_keys_before"], layers[LAYER - 1].keys[0][:, visual])
    close(given["llm_values_before"], layers[LAYER - 1].values[0][:, visual])
    close(given["llm_text_keys_before"], layers[LAYER - 1].keys[0][:, after])


def test_products_of_the_last_query_are_what_the_softmax_was_made_of(given, eager):
    """GemFilter. Over the visual tokens alone, the softmax is the map's row over its own sum."""
    model, output, visual, _ = eager
    row = output.attentions[LAYER - 1][0, :, -1, visual]
    scaling = model.model.language_model.layers[LAYER - 1].self_attn.scaling
    close((given["llm_qk_last"] * scaling).softmax(-1), row / row.sum(-1, keepdim=True))


def test_the_mean_query_asks_the_key_head_of_its_own_group(given, eager):
    """PACT, head by head: query head h reads the keys of key head h // (heads per key head)."""
    model, output, visual, _ = eager
    block = model.model.language_model.layers[LAYER]
    attend, width = block.self_attn, block.self_attn.head_dim
    with torch.inference_mode():
        states = block.input_layernorm(output.hidden_states[LAYER][0, visual])
        queries = attend.q_proj(states).split(width, -1)
        keys = attend.k_proj(states).split(width, -1)
    shared = len(queries) // len(keys)
    rows = [(q.mean(0) @ keys[h // shared].T * width**-0.5) for h, q in enumerate(queries)]
    close(given["llm_attn_mean_query"], torch.stack(rows).softmax(-1))


def test_the_lens_reads_the_states_after_the_final_norm(given, eager):
    model, output, visual, _ = eager
    with torch.inference_mode():
        normed = model.model.language_model.norm(output.hidden_states[LAYER][0, visual])
        best = model.lm_head(normed).softmax(-1).amax(-1)
    close(given["llm_lens_prob"], best)
