"""A decoder whose last layers share keys, block by block: the reference for removal in it.

Gemma 4's have one state of each token, [1, rows, d]; Gemma 3n's four versions, [4, 1, rows, d].
"""

import numpy as np
import pytest
import torch

from tokviz.models.families.parts import final_norm
from tokviz.models.families.state_versions import leaving
from tokviz.models.hooks import hooked


class Entered(Exception):  # noqa: N818 - ends a forward
    """Holds what enters the decoder."""


def entering(vlm, prepared, written):
    """What enters layer 0, and the inputs of the layers [1, rows, l, p]."""
    own = []

    def keep(module, args, given):
        given = given["inputs_embeds"], given["per_layer_inputs"]
        own.append(decoder.project_per_layer_inputs(*given))

    def stop(module, args, given):
        raise Entered(args[0])

    decoder, config = vlm.family.decoder(vlm.model), vlm.model.config
    places = ("image_token_id", "video_token_id", "audio_token_id")
    marks = {getattr(config, name, None) for name in places}
    # written by chance, Gemma 4 reads them as padding
    assert vlm.family.name == "gemma4" or not marks & set(written)
    written = [config.text_config.pad_token_id if i in marks else i for i in written]
    inputs = {
        name: torch.cat([value, value.new_tensor([fill])], 1)
        for name, fill in (
            ("input_ids", written),
            ("attention_mask", [1] * len(written)),
            ("mm_token_type_ids", [0] * len(written)),
            ("token_type_ids", [0] * len(written)),
        )
        if name in prepared.inputs
        for value in [prepared.inputs[name]]
    }
    hooks = [
        decoder.register_forward_pre_hook(keep, with_kwargs=True),
        decoder.layers[0].register_forward_pre_hook(stop, with_kwargs=True),
    ]
    with pytest.raises(Entered) as found, hooked(hooks):
        vlm.model(**{**prepared.inputs, **inputs})
    return *found.value.args, *own


def mask_of(places, window, hidden=()):
    """bool [1, 1, rows, rows], causal, within the window, some keys hidden."""
    far = places[:, None] - places
    sees = (far >= 0) & (far < window if window else far >= 0)
    sees[:, list(hidden)] = False
    return (sees | torch.eye(len(places), dtype=torch.bool))[None, None]


def by_hand(vlm, prepared, left, written=(), repack=False, blind_from=None):
    """Logits [1 + written, v], block by block: every row in every layer, and no cache.

    `left`: layer -> the visual tokens that enter it. `blind_from`: no layer from there on sees any
    visual token.
    """
    decoder, layout = vlm.family.decoder(vlm.model), prepared.asked.layout
    with vlm.guarded():
        states, own = entering(vlm, prepared, written)
        alive = torch.arange(states.shape[-2])
        places, keys = alive, {}
        for layer, block in enumerate(decoder.layers):
            if layer in left:
                dead = np.delete(layout.position, left[layer])
                stays = torch.as_tensor(~np.isin(alive.numpy(), dead))
                states, alive, places = states[..., stays, :], alive[stays], places[stays]
                places = torch.arange(len(alive)) if repack else places
            kind = decoder.config.layer_types[layer]
            blind = blind_from is not None and layer >= blind_from
            image = np.flatnonzero(np.isin(alive.numpy(), layout.position)) if blind else ()
            window = decoder.config.sliding_window if kind == "sliding_attention" else 0
            states = block(
                states,
                per_layer_input=own[:, alive, layer],
                shared_kv_states=keys,
                position_embeddings=decoder.rotary_emb(states, places[None], kind),
                attention_mask=mask_of(places, window, image),
                past_key_values=None,
            )
        last = leaving(decoder, states[..., -1 - len(written) :, :])
        states = final_norm(decoder)(last)
        return vlm.family.word_logits(vlm.model, states)[0]
