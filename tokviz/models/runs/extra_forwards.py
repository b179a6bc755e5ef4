"""Further forwards of the model that analyses ask for beyond a trace (see `ASKS`).

Every forward reads one question and the answer of its run, with the whole image, also if the run
itself had a reduction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from tokviz.analysis.blocks import Score
from tokviz.capture import Capture
from tokviz.errors import InputError, MissingSignal
from tokviz.models.attention_call import AttentionCall
from tokviz.models.families.family import Features
from tokviz.models.families.layer_kinds import layers_without_attention, named_layers
from tokviz.models.families.parts import final_norm
from tokviz.models.families.shared_keys import whole_prompt_layers
from tokviz.models.families.state_versions import leaving, returned_states
from tokviz.models.hooks import hooked
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import Prepared
from tokviz.models.runs.answer_gradients import AnswerGradients
from tokviz.models.runs.control_images import MAKERS
from tokviz.models.runs.filled_tokens import filled_score, mean_token
from tokviz.models.runs.image_exit import ImageExit
from tokviz.models.runs.other_prompts import OtherPrompts
from tokviz.models.runs.preparing import encode, prepare
from tokviz.models.runs.prompt_statistics import prompt_statistics
from tokviz.models.runs.same_run import (
    check_own_answer,
    check_prompt_ids,
    check_question,
    checked_features,
)
from tokviz.models.runs.state_curves import state_curves
from tokviz.models.runs.teacher_forcing import TeacherForcing, equal_sizes, take
from tokviz.models.runs.whole_maps import all_rows, joined_map
from tokviz.trace import Trace
from tokviz.trace.schema import CONTROLS


class ExtraForwards:
    """Further forwards on the question of one trace; the model itself is not changed."""

    def __init__(self, loaded: Loaded, prepared: Prepared, trace: Trace, max_new_tokens: int = 64):
        """Check that question and trace belong together; `_features` compares the tower's states.

        Args:
            loaded: the model.
            prepared: the question, from `prepare`.
            trace: a finished run of it.
            max_new_tokens: largest length of the answers that `answers` writes.

        Raises:
            InputError: the trace is of another image, prompt or model, or has no answer.
        """
        check_prompt_ids(prepared, trace)
        if not trace.t:
            raise InputError("the run has no answer, which further forwards need.")
        self.loaded, self.prepared, self.trace = loaded, prepared, trace
        self.max_new_tokens = max_new_tokens
        self.reading = TeacherForcing(loaded, prepared, trace["answer_ids"])
        self.all = np.arange(trace.n)
        self.layers = range(len(loaded.family.decoder(loaded.model).layers))  # type: ignore[arg-type]

    def supply(self, names: Iterable[str]) -> dict[str, Any]:
        """Return functions or arrays by the names of ASKS; only `controls` runs immediately."""
        return {
            name: self.controls() if name == "controls" else getattr(self, name)
            for name in SUPPLIED.intersection(names)
        }

    # -- the image --------------------------------------------------------------------------------

    @cached_property
    def _features(self) -> Features:
        return checked_features(self.loaded, self.prepared, self.trace)

    @property
    def features(self) -> torch.Tensor:
        """Projected features of the visual tokens, [n, d]."""
        return self._features.tokens

    def controls(self) -> dict[str, np.ndarray]:
        """Return the answer's distributions [t, v] with each control, and as `full` with the image.

        The control images pass through tower and projector. `removed` is the prompt without visual
        tokens; the text keeps its position ids. One forward each.
        """
        found = {"full": self._distributions([self.all], self._features)}
        for name in CONTROLS:
            if name == "removed":
                found[name] = self._distributions([self.all[:0]], self._features)
            else:
                found[name] = self._distributions([self.all], self._control(name))
        return found

    def control_prob(self) -> np.ndarray:
        """Return the probability of each answer token with each of CONTROLS, float32 [x, t]."""
        found = self.controls()
        steps, ids = np.arange(self.trace.t), self.trace["answer_ids"]
        return np.stack([found[name][steps, ids] for name in CONTROLS]).astype(np.float32)

    def without_image(self) -> np.ndarray:
        """Return the probability of each answer token with no visual token, float32 [t]."""
        found = self._distributions([self.all[:0]], self._features)
        return found[np.arange(self.trace.t), self.trace["answer_ids"]].astype(np.float32)

    def _control(self, name: str) -> Features:
        """Return the features of a control image."""
        asked = self.prepared.asked
        with self.loaded.guarded():
            shown = asked.film.frames if asked.film else asked.images
            images = tuple(MAKERS[name](image) for image in shown)
            given = asked.film.with_frames(images) if asked.film else images
            other = prepare(self.loaded, given, asked.prompt)
            features = encode(self.loaded, other, [None], Capture.nothing()).features
        if len(features.tokens) != self.trace.n:
            raise InputError(f"the {name} image gives another number of visual tokens.")
        return features

    def _distributions(self, kept: Sequence[np.ndarray], features: Features) -> np.ndarray:
        with self.loaded.guarded():
            return self.reading.own_answer(kept, features)[0].exp().cpu().numpy()

    # -- real removal -----------------------------------------------------------------------------

    def score(self, kept: Sequence[np.ndarray]) -> np.ndarray:
        """Return the own answer's log-probability with only some visual tokens, [len(kept)].

        Sets of equal size form one batch.
        """
        scores = np.zeros(len(kept))
        for members in equal_sizes(sets := self._checked(kept)):
            batch = [sets[i] for i in members]
            with self.loaded.guarded():
                found = self.reading.own_answer(batch, take(self._features, batch))
                scores[members] = self.reading.own(found).sum(-1).cpu().numpy()
        return scores

    def filled(self, name: str) -> Score:
        """Return a score like `score` in which tokens are filled: a key of examine.FILLINGS."""
        if name == "removal":
            return self.score
        own = self._features
        return filled_score(
            self.reading, own, mean_token(own) if name == "mean" else self._control(name)
        )

    def answers(self, kept: Sequence[np.ndarray]) -> list[str]:
        """Return the greedy answer with only some visual tokens, one text per set."""
        texts = [""] * len(kept)
        for members in equal_sizes(sets := self._checked(kept)):
            batch = [sets[i] for i in members]
            with self.loaded.guarded():
                found = self.reading.write(batch, take(self._features, batch), self.max_new_tokens)
            for i, text in zip(members, found, strict=True):
                texts[i] = text
        return texts

    def _checked(self, kept: Sequence[np.ndarray]) -> list[np.ndarray]:
        sets = [np.unique(np.asarray(tokens, np.int64)) for tokens in kept]
        if any(len(s) and not 0 <= s[0] <= s[-1] < self.trace.n for s in sets):
            raise InputError(f"kept tokens must be 0 to {self.trace.n - 1}.")
        return sets

    def exits(self, layer: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the answer's most probable tokens and its own log-probabilities, and more.

        All visual tokens are removed before decoder layer `layer`; the number of layers = none.

        Returns:
            The most probable tokens [t], the own tokens' log-probabilities [t], and the
            log-probabilities of all tokens at the first step [v].
        """
        with self.loaded.guarded():
            leaving = ImageExit(self.reading, layer)
            found = self.reading.own_answer(
                [self.all],
                self._features,
                in_prompt=leaving.in_prompt(),
                in_answer=leaving.in_answer(),
            )
            best, own = found[0].argmax(-1), self.reading.own(found)[0]
            return best.cpu().numpy(), own.cpu().numpy(), found[0, 0].float().cpu().numpy()

    def layer_words(self) -> np.ndarray:
        """Return the most probable word after each layer for each answer token, int64 [l, t].

        By the logit lens on the rows that chose the tokens: the final norm once, then the head.
        """
        decoder = self.loaded.family.decoder(self.loaded.model)
        family, model = self.loaded.family, self.loaded.model
        states: dict[int, list[torch.Tensor]] = {layer: [] for layer in self.layers}

        def keep(layer: int) -> Any:
            def hook(module: Any, args: Any, output: Any) -> None:
                state = leaving(decoder, returned_states(output))
                # two calls: of the prompt only the last row chose a token, of the answer all rows
                states[layer].append(state[0, -1:] if not states[layer] else state[0])

            return hook

        with self.loaded.guarded():
            blocks = enumerate(decoder.layers)  # type: ignore[arg-type]
            with hooked(block.register_forward_hook(keep(i)) for i, block in blocks):
                self.reading.own_answer([self.all], self._features)
            rows = torch.stack([torch.cat(states[i]) for i in self.layers])
            final = final_norm(decoder)(rows)
            return family.word_logits(model, final).argmax(-1).cpu().numpy()

    # -- attention --------------------------------------------------------------------------------

    def maps(self, layer: int) -> np.ndarray:
        """Return the softmax map of prompt and answer in one decoder layer, [h, q, q]."""
        if layer not in self.layers:
            raise InputError(f"layer must be 0 to {len(self.layers) - 1}, got {layer}.")
        self._check_attention([layer])
        self._check_whole([layer])
        with self.loaded.guarded():
            parts = [call.rows(all_rows(call)) for call in self._calls[layer]]
            return joined_map(parts).cpu().numpy()

    def _check_attention(self, layers: Iterable[int]) -> None:
        """Raise MissingSignal where a layer has no attention, with all such layers of the model."""
        without = layers_without_attention(self.loaded.family.decoder(self.loaded.model))
        asked = [layer for layer in layers if layer in without]
        if asked:
            raise MissingSignal(
                f"layer {asked[0]} is {without[asked[0]]}: it has no attention map. In this model "
                f"{named_layers(without)}. What needs the attention of one layer can name another; "
                "what follows attention through every layer cannot be computed here."
            )

    def _check_whole(self, layers: Iterable[int]) -> None:
        """Raise MissingSignal where a layer computes only the last row of the prompt."""
        whole = whole_prompt_layers(self.loaded.family.decoder(self.loaded.model))
        asked = [layer for layer in layers if layer >= whole]
        if asked:
            raise MissingSignal(
                f"layer {asked[0]} computes only the last row of a prompt: in this model the "
                f"layers from {whole} on read the keys of earlier ones, and there is no map or "
                "state of the other rows. What needs one layer can name an earlier one; what "
                "follows all rows through every layer cannot be computed here."
            )

    @cached_property
    def _calls(self) -> dict[int, list[AttentionCall]]:
        """Layer -> its calls: of the prompt, then of the answer. Maps are computed on demand."""
        calls: dict[int, list[AttentionCall]] = {layer: [] for layer in self.layers}

        def keep(call: AttentionCall) -> None:
            calls[call.module.layer_idx].append(call)  # type: ignore[index]

        with self.loaded.guarded():
            self.reading.own_answer([self.all], self._features, keep)
        return calls

    def knockout(self, layers: range) -> float:
        """Return the own answer's log-probability when no text row attends to the image there."""
        self._check_attention(layers)
        visual = torch.as_tensor(self.trace.layout.position.astype(np.int64))

        def cut(call: AttentionCall) -> torch.Tensor | None:
            if call.module.layer_idx not in layers:
                return None
            rows = all_rows(call)
            hidden = torch.zeros(len(rows), call.key.shape[2], dtype=torch.bool, device=rows.device)
            hidden[:, visual] = True
            if len(rows) == call.key.shape[2]:  # in the call of the prompt, visual rows still see
                hidden[visual] = False
            weights = call.softmax(call.logits(rows).masked_fill(hidden, float("-inf")))
            return call.output(weights)

        with self.loaded.guarded():
            found = self.reading.own_answer([self.all], self._features, cut if layers else None)
            return float(self.reading.own(found).sum())

    def prompt_statistics(self) -> dict[str, np.ndarray]:
        """Return what each row of the prompt draws and is, see ASKS; one forward of the prompt."""
        with self.loaded.guarded():
            return prompt_statistics(self.reading, self.all, self._features)

    def state_curves(self) -> dict[str, np.ndarray]:
        """Return how alike the prompt's rows are by layer, see ASKS; one forward of the prompt."""
        with self.loaded.guarded():
            return state_curves(self.reading, self.all, self._features)

    # -- other prompts ----------------------------------------------------------------------------

    def general_attention(self, prompt: str) -> np.ndarray:
        """Return the last row's attention to the visual tokens under another prompt, [l, n]."""
        return OtherPrompts(self.loaded, self.prepared, self.trace).general_attention(prompt)

    def reworded(self, prompt: str) -> float:
        """Return the own answer's log-probability when another prompt is asked."""
        return OtherPrompts(self.loaded, self.prepared, self.trace).reworded(prompt)

    # -- gradients --------------------------------------------------------------------------------

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the own answer's log-probability [b] of features [b, n, d]; differentiable."""
        return self.slopes.forward(features)

    def gradients(self, layer: int, token: int) -> np.ndarray:
        """Return the gradient of one answer token's log-probability by a layer's map, [h, q, q]."""
        self._check_whole([layer])
        return self.slopes.gradients(layer, token)

    @cached_property
    def slopes(self) -> AnswerGradients:
        """The same question with autograd."""
        return AnswerGradients(self.loaded, self.prepared, self.reading, self._features)


SUPPLIED = {
    "score", "answers", "forward", "features", "maps", "gradients", "exits", "knockout", "controls",
    "prompt_statistics", "state_curves", "general_attention", "reworded",
}  # fmt: skip
"""Keys of ASKS that come from a question and its trace alone."""


def further_runs(
    loaded: Loaded, images: Any, prompt: str, trace: Trace, max_new_tokens: int = 64
) -> ExtraForwards:
    """Return the extra forwards on the question of a trace; see `VLM.further_runs`."""
    with loaded.guarded():
        prepared = prepare(loaded, images, prompt)
    check_question(loaded, prepared, trace)
    runs = ExtraForwards(loaded, prepared, trace, max_new_tokens)
    check_own_answer(runs.reading, runs._features, trace)
    return runs


def folder_features(loaded: Loaded, images: Sequence[Any]) -> Iterator[torch.Tensor]:
    """Yield the projected features [n, d] of each image; one run of the tower each."""
    for image in images:
        with loaded.guarded():
            prepared = prepare(loaded, image, "?")
            features = encode(loaded, prepared, [None], Capture.nothing()).features.tokens
        yield features
