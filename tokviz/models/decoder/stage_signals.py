"""The signals of a stage inside the language model, computed only if its method asks for them.

Most come from the attention call of the layer before the stage. Some come from the call of the next
layer, which is computed ahead of time and discarded. A few are sums over all earlier layers, which
a `SignalRecorder` collects during the prefill.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tokviz.errors import MissingSignal
from tokviz.models.attention import observed
from tokviz.models.attention_call import AttentionCall
from tokviz.models.decoder.alive import AliveRows
from tokviz.models.decoder.signal_recorder import SignalRecorder, after
from tokviz.models.families.parts import (
    attention_of,
    enter_attention,
    final_norm,
    for_attention,
    queries_keys,
)
from tokviz.models.families.shared_keys import removing_layers
from tokviz.models.families.state_versions import active, leaving
from tokviz.reduction.corematching import shared_neurons
from tokviz.reduction.sparsevlm import rope_bias, text_score


class StageState:
    """The state before one layer, from which the signals of its stage are computed."""

    def __init__(
        self,
        rows: AliveRows,
        recorder: SignalRecorder,
        word_logits: Callable[[torch.Tensor], torch.Tensor],
        layer: int,
        hidden: torch.Tensor,
        kwargs: dict[str, Any],
    ) -> None:
        """Args describe the input of the next layer.

        Args:
            rows: which rows are alive.
            recorder: what earlier layers recorded.
            word_logits: from states after the final norm [rows, d] to word logits [rows, v].
            layer: number of the next layer.
            hidden: [1, rows, d], its input; all versions, where there are several.
            kwargs: its other arguments, already sliced to the rows that are alive.
        """
        self.rows, self.recorder, self.word_logits = rows, recorder, word_logits
        self.decoder: Any = recorder.decoder
        self.layer, self.kwargs, self.versions = layer, kwargs, hidden
        self.hidden = active(self.decoder, hidden)
        "[1, rows, d], on which the layer works."
        self.local = rows.local()
        "[m] rows of `hidden` that are visual tokens."
        self._next_call: AttentionCall | None = None

    def signals(self, entry: Any) -> dict[str, Any]:
        """Return the signals that a method asks for.

        Raises:
            MissingSignal: a needed signal cannot be computed in this run.
        """
        asked = [*entry.needs, *entry.optional]
        asked += [entry.fallbacks[n] for n in entry.needs if n in entry.fallbacks]
        given = {name: SUPPLIERS[name](self) for name in asked if name in SUPPLIERS}
        given |= {n: self.rows.carried[n] for n in asked if n in self.rows.carried}
        given = {name: value for name, value in given.items() if value is not None}
        given.setdefault("index", self.rows.index)
        lacking = entry.missing(set(given))
        if lacking:
            raise MissingSignal(f"{entry.title} needs {lacking[0]!r}, which this run cannot give.")
        return given

    def text(self) -> torch.Tensor:
        """Return the rows of the prompt after the last visual token."""
        return after(self.local, self.hidden.shape[1])

    def last(self) -> torch.Tensor:
        """Return the last row of the prompt, [1]."""
        return torch.tensor([self.hidden.shape[1] - 1], device=self.hidden.device)

    def before(self, back: int = 1) -> tuple[AttentionCall, torch.Tensor]:
        """Return the attention call `back` layers before and the visual tokens' columns in it [m].

        More rows may have been alive there, so the columns differ from `local`.
        """
        call = self.recorder.calls.get(self.layer - back)
        if call is None:
            raise MissingSignal(f"there is no layer {back} before layer {self.layer}.")
        return call, self.columns(back)

    def columns(self, back: int = 1) -> torch.Tensor:
        """Return where the visual tokens lie among the rows that entered `back` layers before."""
        return torch.searchsorted(self.rows.rows_at(self.layer - back), self.rows.visual)

    def last_attention(self, back: int) -> torch.Tensor:
        """Return the last row's attention to the visual tokens, `back` layers before, [h, m]."""
        call, columns = self.before(back)
        row = torch.tensor([call.query.shape[2] - 1], device=columns.device)
        return call.rows(row)[0, :, 0][:, columns]

    def next_call(self) -> AttentionCall:
        """Return the next layer's attention call, computed ahead of time; its output is unused."""
        if self._next_call is None:
            calls: list[AttentionCall] = []
            layer = self.decoder.layers[self.layer]
            states = enter_attention(layer, self.versions)
            with observed(calls.append):
                attention_of(layer)(hidden_states=states, **for_attention(self.kwargs))
            self._next_call = calls[0]
        return self._next_call

    def mean_query(self) -> torch.Tensor:
        """Return the attention of the visual tokens' mean query to their keys, [h, m].

        Queries and keys are taken before the rotation; the softmax is over the visual tokens.
        """
        layer = self.decoder.layers[self.layer]
        attend: Any = attention_of(layer)
        found = queries_keys(attend, enter_attention(layer, self.versions)[0, self.local])
        if found is None:
            raise MissingSignal("this model's attention has one matrix for queries and keys.")
        query, key = found
        key = key.repeat_interleave(len(query) // len(key), 0)  # [h_kv, m, d] -> [h, m, d]
        logits = (query.mean(1, keepdim=True) @ key.transpose(1, 2)).float()[:, 0]
        return (logits * attend.scaling).softmax(-1)

    def normed(self, rows: torch.Tensor) -> torch.Tensor:
        """Return states of some rows after the model's final norm, [rows, d]."""
        norm: Any = final_norm(
            self.decoder
        ).forward  # not called as a module: no hook may see a look ahead
        return norm(leaving(self.decoder, self.versions[..., 0, rows, :]))

    def keys_before(self, text: bool) -> torch.Tensor:
        """Return the previous layer's keys of the visual tokens or of the text after them."""
        call, columns = self.before()
        return call.key[0][:, after(columns, call.key.shape[2]) if text else columns]

    def values_before(self) -> torch.Tensor:
        """Return the previous layer's values of the visual tokens, [g, m, d]."""
        call, columns = self.before()
        return call.value[0][:, columns]

    def hidden_before(self) -> torch.Tensor:
        """Return the states of the visual tokens that entered the previous layer, [m, d]."""
        return self.recorder.entered[self.columns()]  # type: ignore[index]

    def text_score(self) -> torch.Tensor:
        """Return how much each text row is about the image, [text rows], from input embeddings.

        Softmax over the text rows, mean over the visual tokens.
        """
        embedded = self.recorder.embedded
        if embedded is None:
            raise MissingSignal("the input embeddings were not kept.")
        rows = after(self.rows.visual_at_start, len(embedded))
        return text_score(embedded[self.rows.visual_at_start].float(), embedded[rows].float())

    def rope_bias(self) -> torch.Tensor:
        """Return the dot products of rotated all-ones vectors, [text rows, m]."""
        cos, sin = (part[0].float() for part in self.kwargs["position_embeddings"])
        return rope_bias(cos, sin, self.text(), self.local)

    def query_state(self) -> torch.Tensor | None:
        """Return the mean state [d] of the last image's tokens and the text after it.

        None for a prompt with one image.
        """
        image = self.rows.carried.get("llm_image")
        if image is None:
            return None
        own = self.local[image == image.max()]
        return self.hidden[0, torch.cat([own, self.text()])].mean(0)

    def raw_last(self) -> torch.Tensor:
        """Return the last row's query times the visual keys, unscaled, no softmax, [h, m]."""
        call, columns = self.before()
        key = call.key[0][:, columns]
        key = key.repeat_interleave(call.query.shape[1] // len(key), 0)
        return (call.query[0, :, -1:] @ key.transpose(1, 2)).float()[:, 0]

    def shared(self) -> torch.Tensor:
        """Number of neurons active both for a token and for the question's last token, [m]."""
        fed = self.recorder.neurons
        row = int(torch.searchsorted(self.rows.alive, self.rows.question))
        return shared_neurons(fed[self.local], fed[row]).float()  # type: ignore[index]

    def lens(self) -> torch.return_types.max:
        """Highest probability of the logit lens at each visual token, and its word."""
        return self.word_logits(self.normed(self.local)).softmax(-1).max(-1)


def _all_rows(state: StageState) -> torch.Tensor:
    call, _ = state.before()
    return call.rows(torch.arange(call.query.shape[2], device=state.local.device))[0]


def _all_logits(state: StageState) -> torch.Tensor:
    call, _ = state.before()
    return call.all_logits()[0].mean(0)


def _text_attention(state: StageState, columns: str) -> torch.Tensor:
    call, visual = state.before()
    rows = after(visual, call.query.shape[2])
    return call.rows(rows)[0][..., visual if columns == "visual" else rows]


SUPPLIERS: dict[str, Callable[[StageState], Any]] = {
    "index": lambda s: s.rows.index,
    "layer": lambda s: s.layer,
    "num_layers": lambda s: removing_layers(s.decoder),
    "llm_attn_last": lambda s: s.last_attention(1),
    "llm_attn_last_before": lambda s: s.last_attention(2),
    "llm_peek_last": lambda s: s.next_call().rows(s.last())[0, :, 0][:, s.local],
    "llm_peek_text": lambda s: s.next_call().rows(s.text())[0][..., s.local],
    "llm_attn_text": lambda s: _text_attention(s, "visual"),
    "llm_attn_text_text": lambda s: _text_attention(s, "text"),
    "llm_attn_all": _all_rows,
    "llm_logits_all": _all_logits,
    "llm_visual_rows": lambda s: s.local,
    "llm_hidden": lambda s: s.hidden[0, s.local],
    "llm_hidden_before": lambda s: s.hidden_before(),
    "llm_normed": lambda s: s.normed(s.local),
    "llm_text_normed": lambda s: s.normed(s.text()),
    "llm_keys_before": lambda s: s.keys_before(text=False),
    "llm_values_before": lambda s: s.values_before(),
    "llm_text_keys_before": lambda s: s.keys_before(text=True),
    "llm_hidden_query": lambda s: s.query_state(),
    "llm_hidden_last": lambda s: s.hidden[0, -1],
    "llm_keys": lambda s: s.next_call().key[0][:, s.local],
    "llm_attn_mean_query": lambda s: s.mean_query(),
    "llm_qk_last": lambda s: s.raw_last(),
    "llm_rope_bias": lambda s: s.rope_bias(),
    "llm_text_score": lambda s: s.text_score(),
    "llm_text_mass": lambda s: torch.stack(s.recorder.text_mass[: s.layer]),
    "llm_transition": lambda s: s.recorder.transitions,
    "llm_shared_neurons": lambda s: s.shared(),
    "llm_lens_prob": lambda s: s.lens().values,
    "llm_lens_token": lambda s: s.lens().indices,
}
"""Name of each language-model signal of SIGNALS -> how a stage computes it."""
