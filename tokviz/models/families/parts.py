"""Where the parts of a decoder and of a vision tower are, under the names that libraries give them.

A checkpoint of one family may be built around another decoder or tower (LLaVA around Phi, OLMo 2 or
GPT-NeoX; with DINOv2 or a plain ViT). What is looked for by name is here, and what is not found is
said when the model is loaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from tokviz.errors import ModelError
from tokviz.models.families.layer_kinds import layers_without_attention
from tokviz.models.families.state_versions import active

FINAL_NORMS = ("norm", "final_layernorm", "final_layer_norm", "embedding_norm")
INPUT_NORMS = ("input_layernorm", "operator_norm")
ATTENTIONS = ("self_attn", "attention")
MLPS = ("mlp", "feed_forward")
MLP_OUTPUTS = ("down_proj", "fc2", "dense_4h_to_h", "w2")
ATTENTION_KINDS = ("full_attention", "sliding_attention")
"""Types of layers, as configs name them, in which every token attends to those before it."""
CACHES = ("past_key_values", "layer_past")
"""Keyword under which a decoder hands its cache to a layer."""
TOWER_BLOCKS = ("encoder.layers", "encoder.layer", "layers", "layer")
CLS_NAMES = ("class_embedding", "cls_token")


def named(module: Any, names: tuple[str, ...]) -> Any:
    """Return the first attribute that a module has under one of these names, or None."""
    return next((found for n in names if (found := getattr(module, n, None)) is not None), None)


def final_norm(decoder: nn.Module) -> nn.Module:
    """Return the norm behind the last layer of a decoder."""
    return named(decoder, FINAL_NORMS)


def attention_of(block: nn.Module) -> nn.Module:
    """Return the attention module of a decoder layer; None in a layer without attention."""
    return named(block, ATTENTIONS)


def mlp_of(block: nn.Module) -> nn.Module:
    """Return the MLP of a decoder layer, None where it is under no known name."""
    return named(block, MLPS)


def enter_attention(block: Any, states: Any) -> Any:
    """Return what a layer's attention gets of its input: normed, but in layers that norm after it.

    Args:
        block: a decoder layer.
        states: [b, rows, d], or all versions of them, of which the active one is predicted.
    """
    norm = named(block, INPUT_NORMS)
    if states.ndim == 4:
        states = active(block, block.altup.predict(states))
    return states if norm is None else norm(states)


def queries_keys(attend: Any, states: Any) -> tuple[Any, Any] | None:
    """Return the queries [h, rows, d] and keys [g, rows, d] of states, before rotary positions.

    Args:
        attend: the attention module of a decoder layer.
        states: [rows, d], as `enter_attention` gives them.

    Returns:
        None where one matrix makes both, or they come through a narrow one (MLA).
    """
    found = []
    for name in "qk":
        matrix: Any = getattr(attend, f"{name}_proj", None)
        norm: Any = named(attend, (f"{name}_norm", f"{name}_layernorm"))
        if matrix is None:
            return None
        made = matrix(states)
        if name == "q" and _gated(attend):
            # [rows, h x 2 d]: each head's query, then the gate of its output (Qwen3.5)
            made = made.view(len(states), -1, 2, attend.head_dim)[:, :, 0].flatten(1)
        # OLMo norms all heads together, Qwen3 and Gemma 3 each head
        together = norm is not None and norm.weight.shape[-1] == made.shape[-1]
        made = norm(made) if together else made
        made = made.view(len(states), -1, attend.head_dim).transpose(0, 1)
        found.append(made if norm is None or together else norm(made))
    return found[0], found[1]


def _gated(attend: Any) -> bool:
    """Return whether the matrix of the queries also makes a gate for each head's output."""
    joins = named(attend, ("o_proj", "out_proj"))
    return joins is not None and attend.q_proj.out_features == 2 * joins.in_features


def mlp_output(block: nn.Module) -> nn.Module | None:
    """Return the last matrix of a layer's MLP; None where there is none or several (experts)."""
    return named(mlp_of(block), MLP_OUTPUTS)


def cache_of(given: dict[str, Any]) -> Any:
    """Return the cache among the keyword arguments of a decoder layer."""
    return next(given[name] for name in CACHES if given.get(name) is not None)


def for_attention(given: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments of a decoder layer as its attention gets them, with no cache."""
    kept = {name: one for name, one in given.items() if name != "per_layer_input"}
    return {**kept, **{name: None for name in CACHES if name in given}, "use_cache": False}


def needed(forward: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments that a function cannot be called without."""
    given = inspect.signature(forward).parameters.values()
    return [p.name for p in given if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]


def tower_blocks(tower: nn.Module) -> nn.ModuleList | None:
    """Return the blocks of a vision tower, None where they are under no known name."""
    for path in TOWER_BLOCKS:
        found: Any = tower
        for name in path.split("."):
            found = getattr(found, name, None)
        if isinstance(found, nn.ModuleList) and len(found):
            return found
    return None


def check_decoder(decoder: nn.Module) -> None:
    """Raise ModelError, naming the part, unless a decoder can be looked into."""
    lacking = _lacking(decoder)
    if lacking:
        raise ModelError(
            f"its decoder {type(decoder).__name__} has {lacking}. Decoders with rotary positions "
            "work whose layers are attention (Llama, Qwen, Mistral, Gemma, Phi, OLMo and such), "
            "linear attention as in Qwen3.5, or a short convolution as in LFM2."
        )


def check_rotation(decoder: nn.Module, rotation: Any) -> None:
    """Raise ModelError unless a decoder's rotary module gives cos and sin.

    Args:
        decoder: the text decoder.
        rotation: what it gives for one position.
    """
    if not isinstance(rotation, tuple) or len(rotation) != 2:
        raise ModelError(
            f"its decoder {type(decoder).__name__} rotates queries and keys in another way than "
            "by cos and sin (DeepSeek-V2 and Llama 4 do), which tokviz cannot slice."
        )


def _lacking(decoder: nn.Module) -> str | None:
    layers: Any = getattr(decoder, "layers", None)
    if not isinstance(layers, nn.ModuleList) or not len(layers):
        return "no list of layers under the name `layers`"
    without = layers_without_attention(decoder)
    for number, block in enumerate(layers):
        if number not in without and not isinstance(attention_of(block), nn.Module):
            return f"a layer without attention (layer {number}, {type(block).__name__})"
        after = hasattr(block, "post_attention_layernorm")
        after = after and hasattr(block, "post_feedforward_layernorm")
        if named(block, INPUT_NORMS) is None and not after:
            return (
                f"a layer whose norms have unknown names (layer {number}, {type(block).__name__})"
            )
    if len(without) == len(layers):
        return "no layer with attention"
    if final_norm(decoder) is None:
        return "no final norm under a known name"
    if not hasattr(decoder, "rotary_emb"):
        return "no rotary positions (`rotary_emb`)"
    kinds = getattr(decoder.config, "layer_types", None) or ()
    for number, kind in enumerate(kinds):
        if kind not in ATTENTION_KINDS and number not in without:
            return f"layers of the type {kind}"
    return None


def check_tower(tower: nn.Module, config: Any) -> None:
    """Raise ModelError, naming the part, unless a tower is one grid of patches per picture.

    Args:
        tower: the vision tower.
        config: its own config.
    """
    lacking = None
    if tower_blocks(tower) is None:
        lacking = "no list of blocks under a known name"
    elif not hasattr(config, "patch_size"):
        lacking = "no fixed size of patches"
    elif inputs := needed(tower.forward)[1:]:
        lacking = f"further inputs beside the picture ({', '.join(inputs)})"  # SigLIP 2, any size
    elif hasattr(getattr(tower, "embeddings", None), "distillation_token"):
        lacking = "a distillation token among its patches"  # DeiT
    elif hasattr(config, "mask_ratio"):
        lacking = "an order of patches that is drawn at random"  # ViTMAE
    elif getattr(config, "num_register_tokens", 0):
        lacking = f"{config.num_register_tokens} register tokens among its patches"
    if lacking:
        raise ModelError(
            f"its vision tower {type(tower).__name__} has {lacking}. Towers built as CLIP, SigLIP, "
            "ViT, DINOv2 and InternViT work."
        )


def tower_cls(tower: Any) -> bool:
    """Return whether token 0 of a tower is a [CLS] token."""
    return named(getattr(tower, "embeddings", None), CLS_NAMES) is not None


def one(size: Any) -> int:
    """Return a size in pixels that a config gives as a number or as (height, width)."""
    return int(size[0]) if isinstance(size, (list, tuple)) else int(size)
