"""How the next token is chosen: by the checkpoint's generation settings, as greedy generate() does.

A checkpoint may forbid words, punish repetition or ask for a minimum length
(`generation_config.json`). transformers' own processors carry that out here, made by the model's
own method, on the same ids: the whole prompt and what was written, also where visual tokens were
removed, so that every lane keeps the same rules. Probabilities in a trace stay the model's own;
the rules change only which token is taken.

What cannot be had in a greedy answer of several lanes (beams, guidance by a second run, stop
strings) is named in a note on every run.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import LogitsProcessorList

from tokviz.errors import ModelError
from tokviz.models.answer_text import end_tokens
from tokviz.models.foreign_errors import first_line
from tokviz.models.out_of_memory import is_out_of_memory

log = logging.getLogger(__name__)

HONOURED: dict[str, tuple[Any, ...]] = {
    "repetition_penalty": (1.0,),
    "encoder_repetition_penalty": (1.0,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "bad_words_ids": (),
    "sequence_bias": (),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "exponential_decay_length_penalty": (),
    "suppress_tokens": (),
    "begin_suppress_tokens": (),
    "watermarking_config": (),
}
"""Settings that change a greedy answer and are carried out -> values that change nothing."""
LEFT_OUT: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "guidance_scale": (1, 1.0),
    "penalty_alpha": (0, 0.0),
    "dola_layers": (),
    "force_words_ids": (),
    "constraints": (),
    "stop_strings": (),
    "max_time": (),
    "token_healing": (False,),
}
"""Settings that change what generate() answers and are not carried out -> values without effect."""


UNUSABLE = (ValueError, TypeError, AttributeError, LookupError, RuntimeError, ArithmeticError)
"""What transformers raises for settings of a wrong type or beyond the vocabulary."""


class AnswerRules:
    """The generation settings of one checkpoint, for one prompt or a batch of them."""

    def __init__(self, processors: LogitsProcessorList, prompt_ids: torch.Tensor) -> None:
        """Args: transformers' processors; `prompt_ids` [b, s], the whole prompt."""
        self.processors, self.prompt_ids = processors, prompt_ids

    def scores(self, logits: torch.Tensor, written: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the scores [b, v] that the next token has, float32; the highest is taken.

        Args:
            logits: float32 [b, v], left as they are.
            written: for each element of the batch the ids of the answer so far, equally many.

        Raises:
            ModelError: settings that transformers cannot use.
        """
        device = self.prompt_ids.device
        after = torch.tensor([list(ids) for ids in written], dtype=torch.long, device=device)
        ids = torch.cat([self.prompt_ids, after.reshape(len(written), -1)], 1)
        try:
            return self.processors(ids, logits.to(device, copy=True)).to(logits.device)
        except UNUSABLE as error:  # such as a token beyond the vocabulary
            raise _unusable(error) from error


def answer_rules(
    model: nn.Module, prompt_ids: torch.Tensor, max_new_tokens: int
) -> AnswerRules | None:
    """Return the rules of a checkpoint, None where the most probable token is always taken.

    Args:
        model: the model.
        prompt_ids: [b, s], the whole prompt, placeholders of every visual token included.
        max_new_tokens: the most tokens of an answer: a forced end token comes last.

    Raises:
        ModelError: settings that transformers cannot use.
    """
    if not changed(model, HONOURED):
        return None
    try:
        processors = _processors(model, prompt_ids, max_new_tokens)
    except UNUSABLE as error:
        raise _unusable(error) from error
    return AnswerRules(processors, prompt_ids) if len(processors) else None


def _unusable(error: Exception) -> BaseException:
    """Return the error to read for settings that transformers could not use."""
    if is_out_of_memory(error):
        return error
    log.info("generation settings", exc_info=True)
    return ModelError(
        "the generation settings of this checkpoint (generation_config.json) cannot be used: "
        f"{first_line(error)[:200]}. Correct them, or remove them with "
        "model.generation_config = GenerationConfig()."
    )


def _processors(model: Any, prompt_ids: torch.Tensor, max_new_tokens: int) -> LogitsProcessorList:
    """Return what greedy generate() would make of the settings, in its order."""
    length = prompt_ids.shape[1]
    config, _ = model._prepare_generation_config(
        None, do_sample=False, max_new_tokens=max_new_tokens
    )
    config.num_beams, config.guidance_scale = 1, None
    config.max_length = length + max_new_tokens
    if config.min_new_tokens is not None:
        config.min_length = length + config.min_new_tokens
    model._prepare_special_tokens(config, True, device=prompt_ids.device)
    return model._get_logits_processor(
        config,
        input_ids_seq_length=length,
        encoder_input_ids=prompt_ids,
        device=prompt_ids.device,
        model_kwargs={"attention_mask": torch.ones_like(prompt_ids)},
    )


def changed(model: nn.Module, settings: dict[str, tuple[Any, ...]]) -> list[str]:
    """Return which of some settings the checkpoint sets to a value that has an effect."""
    config = getattr(model, "generation_config", None)
    given = {name: getattr(config, name, None) for name in settings}
    given = {name: v.tolist() if hasattr(v, "tolist") else v for name, v in given.items()}
    return [
        name
        for name, value in given.items()
        if value is not None and value not in ([], {}) and value not in settings[name]
    ]


def setting_notes(model: nn.Module) -> list[str]:
    """Return what a reader must know about the checkpoint's generation settings."""
    config, notes = getattr(model, "generation_config", None), []
    kept, left = changed(model, HONOURED), changed(model, LEFT_OUT)
    if kept:
        notes.append(
            "Tokens were chosen by this checkpoint's generation settings too, as generate() does: "
            f"{_written(config, kept)}. Probabilities are the model's own, before these settings."
        )
    if left:
        notes.append(
            "This checkpoint's generation settings change what generate() answers, and tokviz "
            f"leaves them out: {_written(config, left)}."
        )
    return [*notes, *_end_notes(model)]


def _end_notes(model: nn.Module) -> list[str]:
    """Return a note where the end token that is named is none that this model can write."""
    ends = end_tokens(model)
    size = model.config.get_text_config().vocab_size  # type: ignore[union-attr, operator]
    if not ends or any(0 <= end < size for end in ends):
        return []
    return [
        f"No answer of this model ends by itself: its end token, {min(ends)}, is not one of its "
        f"{size} tokens (eos_token_id in generation_config.json)."
    ]


def _written(config: Any, names: Sequence[str]) -> str:
    """Return settings as text, long values cut short."""
    values = {name: str(getattr(config, name)) for name in names}
    cut = {name: v if len(v) <= 40 else f"{v[:37]}..." for name, v in values.items()}
    return ", ".join(f"{name} = {value}" for name, value in cut.items())
