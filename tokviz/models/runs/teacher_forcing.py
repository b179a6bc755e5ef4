"""Reads a question and its own answer again under changed conditions (teacher forcing).

First the prompt is read, then the answer on the prompt's cache, as when it was written. This order
matters for families whose prompt rows attend to each other (PaliGemma) and for sliding windows.
Tokens are removed, not masked: placeholders and features of removed tokens are left out, the others
keep their position ids, and windows count positions of the full prompt. Kept sets of equal size
form one batch. Caches keep every key, also those outside a window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from tokviz.models.answer_text import end_tokens
from tokviz.models.attention import Observer, observed
from tokviz.models.decoder.answer_rules import AnswerRules, answer_rules
from tokviz.models.decoder.windows import reading_mask, sliding_layers
from tokviz.models.families.family import Features
from tokviz.models.families.layer_kinds import whole_cache
from tokviz.models.families.shared_keys import following
from tokviz.models.hooks import hooked
from tokviz.models.loaded import Loaded
from tokviz.models.not_finite import check_finite
from tokviz.models.prepared import Prepared

BATCH = 8
"Largest number of kept sets in one batch."


@dataclass
class Reading:
    """A batch of prompts after the prefill; its cache is ready for further tokens."""

    logits: torch.Tensor
    "[b, v], logits of the last row."
    cache: DynamicCache
    positions: torch.Tensor
    "[..., b, 1], position ids of the last prompt row."
    places: torch.Tensor
    "[b, rows], which rows of the full prompt entered the model."


class TeacherForcing:
    """One question that is read again. Call its methods only while the model is locked."""

    def __init__(self, loaded: Loaded, prepared: Prepared, answer_ids: np.ndarray) -> None:
        """Args: the model, the question, and the ids [t] of the answer, t at least 1."""
        self.loaded, self.prepared = loaded, prepared
        self.model, self.family = loaded.model, loaded.family
        self.answer = torch.as_tensor(np.asarray(answer_ids, np.int64), device=loaded.device)[None]
        self.layout = prepared.asked.layout
        self.text = np.setdiff1d(np.arange(len(prepared.asked.prompt_ids)), self.layout.position)
        self.on_read: Callable[[int], None] | None = None
        "Called with the number of kept sets each time that prompts have been read."

    def rows(self, kept: np.ndarray) -> np.ndarray:
        """Return the rows of the text and of the kept visual tokens, ascending."""
        return np.sort(np.concatenate([self.text, self.layout.position[kept]]))

    def prompt(
        self,
        kept: Sequence[np.ndarray],
        features: Features,
        changed: AbstractContextManager[Any] | None = None,
    ) -> Reading:
        """Read the prompt with only some visual tokens.

        Args:
            kept: the visual tokens of each element of the batch, ascending; all equally many.
            features: of the kept visual tokens, joined over the batch.
            changed: a context that is entered for this forward.
        """
        given = self.prepared.inputs
        rows = [torch.as_tensor(self.rows(k), device=self.loaded.device) for k in kept]
        ids = torch.cat([given["input_ids"][:, row] for row in rows])
        inputs = {
            name: torch.cat([value[:, row] for row in rows])
            for name, value in given.items()
            if value.shape == given["input_ids"].shape and name != "attention_mask"
        }
        seen = features if len(kept[0]) else Features(features.tokens[:0])
        inputs["mm_encoder_outputs"] = self.family.shown(self.loaded.model, ids, seen)  # type: ignore
        positions = torch.cat([self.prepared.positions[..., row] for row in rows], -2)
        cache, places = whole_cache(self.family.decoder(self.model)), torch.stack(rows)
        with changed or nullcontext(), self.masked(self.prompt_masks(places)):
            output = self.model(
                **inputs,
                attention_mask=torch.ones_like(ids),
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        if self.on_read is not None:
            self.on_read(len(kept))
        return Reading(output.logits[:, -1], cache, positions[..., -1:], places)

    def more(self, reading: Reading, ids: torch.Tensor, written: int) -> torch.Tensor:
        """Read further tokens after the prompt.

        Args:
            reading: the prompt.
            ids: [b, new] token ids.
            written: number of tokens read after the prompt so far.

        Returns:
            [b, new, v] logits.
        """
        b, new = ids.shape
        ahead = torch.arange(written + 1, written + new + 1, device=ids.device)
        rows = reading.places.shape[1]
        with self.masked(self.answer_masks(reading.places, written, new)):
            return self.model(
                input_ids=ids,
                attention_mask=ids.new_ones(b, rows + written + new),
                position_ids=reading.positions + ahead,
                past_key_values=reading.cache,
                use_cache=True,
            ).logits

    # -- sliding windows --------------------------------------------------------------------------

    def prompt_masks(self, places: torch.Tensor) -> dict[int, torch.Tensor]:
        """Return decoder layer -> mask [b, 1, rows, rows], for windows with removed rows.

        Args:
            places: [b, rows], the rows of the full prompt that are left.
        """
        layers, total = self.windows(places), self.prepared.positions.shape[-1]
        if total <= min(layers.values(), default=total):
            return {}
        every = torch.arange(total, device=places.device)
        whole = self.family.window_mask(self.model, self.prepared.inputs, every)
        if whole is None:
            return {}
        # [total, total] indexed by [b, rows, 1] and [b, 1, rows] -> [b, rows, rows]
        return dict.fromkeys(layers, whole[0, 0][places[:, :, None], places[:, None]][:, None])

    def answer_masks(self, places: torch.Tensor, written: int, new: int) -> dict[int, torch.Tensor]:
        """Return the masks for tokens of the answer, [b, 1, new, rows + written + new]."""
        total = self.prepared.positions.shape[-1]
        return {
            layer: reading_mask(places, total, written, new, window)
            for layer, window in self.windows(places).items()
        }

    def windows(self, places: torch.Tensor) -> dict[int, int]:
        """Return decoder layer -> window, for layers whose mask must be replaced."""
        if places.shape[1] == self.prepared.positions.shape[-1]:
            return {}
        return sliding_layers(self.family.decoder(self.model))

    @contextmanager
    def masked(self, masks: Mapping[int, torch.Tensor]) -> Iterator[None]:
        """Replace the library's masks of decoder layers by these."""
        decoder = self.family.decoder(self.model)
        layers: Any = decoder.layers

        def give(mask: torch.Tensor) -> Any:
            return lambda module, args, kwargs: (args, {**kwargs, "attention_mask": mask})

        handles = [
            layers[layer].register_forward_pre_hook(give(mask), with_kwargs=True)
            for layer, mask in masks.items()
        ]
        with hooked(chain(handles, following(decoder) if masks else ())):
            yield

    def own_answer(
        self,
        kept: Sequence[np.ndarray],
        features: Features,
        observer: Observer | None = None,
        in_prompt: AbstractContextManager[Any] | None = None,
        in_answer: AbstractContextManager[Any] | None = None,
    ) -> torch.Tensor:
        """Read prompt and own answer; return log-probabilities, float32 [b, t, v].

        Row i is the distribution from which answer token i was chosen.
        """
        with observed(observer):
            reading = self.prompt(kept, features, in_prompt)
            logits = [reading.logits[:, None]]
            if self.answer.shape[1] > 1:
                ids = self.answer[:, :-1].expand(len(kept), -1)
                with in_answer or nullcontext():
                    logits.append(self.more(reading, ids, 0))
        joined = torch.cat(logits, 1).float()
        check_finite(self.model, joined)
        return joined.log_softmax(-1)

    def own(self, log_probabilities: torch.Tensor) -> torch.Tensor:
        """Return the log-probabilities of the answer's own tokens, [b, t, v] -> [b, t]."""
        index = self.answer.expand(len(log_probabilities), -1)[..., None]
        return log_probabilities.gather(-1, index)[..., 0]

    def write(
        self, kept: Sequence[np.ndarray], features: Features, max_new_tokens: int
    ) -> list[str]:
        """Answer greedily with only some visual tokens, one text per element of the batch."""
        reading = self.prompt(kept, features)
        whole = self.prepared.inputs["input_ids"].expand(len(kept), -1)
        rules = answer_rules(self.model, whole, max_new_tokens)
        stops, logits = end_tokens(self.model), reading.logits
        read: list[list[int]] = [[] for _ in kept]
        "What the model has read of each answer; those that have ended go on with the others."
        written: list[list[int]] = [[] for _ in kept]
        open_ = set(range(len(kept)))
        for step in range(max_new_tokens):
            best = self.chosen(logits.float(), rules, read)
            open_ = {i for i in open_ if best[i] not in stops}
            for i in open_:
                written[i].append(best[i])
            if not open_ or step + 1 == max_new_tokens:
                break
            read = [[*ids, token] for ids, token in zip(read, best, strict=True)]
            logits = self.more(reading, whole.new_tensor(best)[:, None], step)[:, -1]
        text = self.loaded.answer_text()
        return [text.decode(ids) for ids in written]

    def chosen(
        self, logits: torch.Tensor, rules: AnswerRules | None, read: list[list[int]]
    ) -> list[int]:
        """Return the next token of each answer, of logits [b, v], as generate() chooses it."""
        check_finite(self.model, logits)
        scores = logits if rules is None else rules.scores(logits, read)
        return scores.argmax(-1).tolist()


def take(features: Features, kept: Sequence[np.ndarray]) -> Features:
    """Return the features of several kept sets, joined: [n, d] -> [b * m, d]."""
    index = torch.as_tensor(np.concatenate(kept).astype(np.int64), device=features.tokens.device)
    return Features(features.tokens[index], tuple(one[index] for one in features.extra))


def equal_sizes(kept: Sequence[np.ndarray]) -> Iterator[list[int]]:
    """Yield the numbers of sets that form one batch: equally large, at most BATCH."""
    sizes: dict[int, list[int]] = {}
    for number, tokens in enumerate(kept):
        sizes.setdefault(len(tokens), []).append(number)
    for members in sizes.values():
        for start in range(0, len(members), BATCH):
            yield members[start : start + BATCH]
