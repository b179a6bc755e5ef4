r"""The text of an answer while it is written, and the part of it that each token spells.

A character may take several tokens (emoji, rare Chinese, every character with byte fallback); a
tokenizer that decodes only some of them writes U+FFFD. Here a character appears when it is
complete, in the piece of its last token. Bytes that never become a character are written as \xf0.
The pieces joined are always the answer.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from torch import nn

from tokviz.budget import whole_number
from tokviz.errors import ModelError
from tokviz.text.token_bytes import shown, token_bytes

NAMED = ("bos", "eos", "pad", "unk", "sep", "cls", "mask")
NUMBER = re.compile(r"_?\d+$")
PART = re.compile(r"row_\d+_col_\d+")
"""Names of a picture's tiles."""
CONTEXT = 8
"""Number of tokens before a candidate that are decoded with it, for its spaces."""


class AnswerText:
    """Turns token ids into text, one token at a time."""

    def __init__(self, tokenizer: Any, word_marks: str, control_ids: frozenset[int]) -> None:
        """Begin an empty answer.

        Args:
            tokenizer: the model's.
            word_marks: how it writes word starts, a key of `tokviz.text.token_bytes.MARKS`.
            control_ids: tokens that are no text, from `control_ids`.
        """
        self.tokenizer, self.word_marks, self.control_ids = tokenizer, word_marks, control_ids
        self.ids: list[int] = []
        self.text = ""
        self._ends: list[int] = []
        "Offset in the text at which the piece of each token ends."

    def add(self, token: int) -> None:
        """Add a token; an incomplete character is added with a later token."""
        self.ids.append(token)
        self._ends.append(len(self.text))
        self._update(self.decode(self.ids, whole=False))

    def close(self) -> None:
        """End the answer: an incomplete character is written as bytes."""
        self._update(self.decode(self.ids))

    @property
    def pieces(self) -> tuple[str, ...]:
        """The text of each token; joined they are `text`."""
        return tuple(
            self.text[a:b] for a, b in zip([0, *self._ends[:-1]], self._ends, strict=True)
        ) if self._ends else ()  # fmt: skip

    @property
    def marks(self) -> tuple[int, ...]:
        """Indices of tokens that are no text."""
        return tuple(i for i, token in enumerate(self.ids) if token in self.control_ids)

    def _update(self, text: str) -> None:
        """Set a longer text; decoders that remove spaces before punctuation change earlier text."""
        same = len(self.text) if text.startswith(self.text) else _shared_length(self.text, text)
        self._ends = [min(end, same) for end in self._ends]
        if self._ends:
            self._ends[-1] = len(text)
        self.text = text

    def decode(self, ids: Iterable[int], whole: bool = True) -> str:
        """Return the text of ids.

        Args:
            ids: token ids; those that are no text are left out.
            whole: False = leave out an incomplete character at the end.
        """
        kept = [int(token) for token in ids if token not in self.control_ids]
        text = self.tokenizer.decode(kept, skip_special_tokens=False) if kept else ""
        return text if "\ufffd" not in text else self._from_bytes(kept, text, whole)

    def _from_bytes(self, ids: Sequence[int], text: str, whole: bool) -> str:
        """Return the text of ids whose decoded text holds U+FFFD."""
        if self.word_marks not in ("byte_level", "sentencepiece"):
            return shown(text if whole else text.rstrip("\ufffd"))
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        tokens = self.tokenizer.convert_ids_to_tokens(list(ids))
        # None: rows of the head beyond the vocabulary, which is padded in many checkpoints
        known = [token for token in tokens if token is not None]
        data = b"".join(token_bytes(token, self.word_marks) for token in known)
        # some decoders remove the space before the first word; there may be more behind it
        removed = len(text.lstrip(" ")) - len(text) + len(data) - len(data.lstrip(b" "))
        return shown(decoder.decode(data[max(removed, 0) :], final=whole))

    def token_text(self, token: int) -> str:
        """Return the text of a single token; a control token's name."""
        text = self.tokenizer.decode([int(token)])
        return text if "\ufffd" not in text else self._from_bytes([int(token)], text, True)

    def candidates(self, at: int, tokens: Sequence[int]) -> list[str]:
        """Return the text that each token would add to the answer at one place, with its space."""
        before = [i for i in self.ids[max(at - CONTEXT, 0) : at] if i not in self.control_ids]
        start, waiting = self.tokenizer.decode(before) if before else "", False
        if "\ufffd" in start:
            whole, start = (self._from_bytes(before, start, whole) for whole in (True, False))
            waiting = whole != start  # bytes of an incomplete character
        return [self._candidate(before, start, waiting, int(token)) for token in tokens]

    def _candidate(self, before: Sequence[int], start: str, waiting: bool, token: int) -> str:
        if before and token not in self.control_ids:
            text = self.decode([*before, token])
            added = text[len(start) :]
            if text.startswith(start) and not (waiting and added.startswith("\\x")):
                return added
        return self.token_text(token)


def _shared_length(a: str, b: str) -> int:
    """Return the length of the common beginning of two texts."""
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


def word_marks(tokenizer: Any) -> str:
    """Return how a tokenizer writes word starts, a key of MARKS; decided from its vocabulary."""
    counts = dict.fromkeys(("sentencepiece", "byte_level", "wordpiece"), 0)
    for token in tokenizer.get_vocab():
        text = token.decode("utf-8", "replace") if isinstance(token, bytes) else token
        counts["sentencepiece"] += text.startswith("\u2581")
        counts["byte_level"] += text.startswith("\u0120")
        counts["wordpiece"] += text.startswith("##") and len(text) > 2
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else "word_level"


def control_ids(tokenizer: Any, processor: Any, model: nn.Module) -> frozenset[int]:
    """Return the special tokens that are no text when a model writes them.

    These begin, end or pad a text, end an answer, are placeholders of pictures or names of their
    parts, or are written by the chat template. Every other token is content, even if it looks
    special: places (<loc0100>), markers of boxes and objects.
    """
    templates = " ".join(_templates(processor) + _templates(tokenizer))
    written = {i for i, text in special_tokens(tokenizer).items() if text in templates}
    return structure_ids(tokenizer, processor, model) | written


def structure_ids(tokenizer: Any, processor: Any, model: nn.Module) -> frozenset[int]:
    """Return the tokens that hold a text and its pictures together, whatever the chat template.

    These begin, end or pad a text, end an answer, are placeholders or the processor's own marks.
    """
    added = tokenizer.added_tokens_decoder
    named = {getattr(tokenizer, f"{name}_token_id", None) for name in NAMED}
    found = named | end_tokens(model)
    for config in (model.config, model.config.get_text_config()):  # type: ignore[union-attr, operator]
        for name, value in vars(config).items():
            if name.endswith(("_token_id", "_token_index")):
                # a role that a config class fills in, <s> = 1 of Llama's, may be text here: "
                role = name.partition("_token")[0] in NAMED
                found |= {i for i in _ids(value) if not (role and _is_plain(tokenizer, added, i))}
    texts = {str(v) for k, v in vars(processor).items() if k.endswith("_token") and v}
    for i, text in special_tokens(tokenizer).items():
        # Aya writes TILE_2 by its tile_token, LFM2 and Idefics3 a row and a column
        if text in texts or NUMBER.sub("", text) in texts or PART.search(text):
            found.add(i)
    return frozenset(i for i in found if isinstance(i, int))


def special_tokens(tokenizer: Any) -> dict[int, str]:
    """Return the tokens that a tokenizer reads as commands; the roles it names are a few of them.

    Pixtral's tokenizer, for one, names begin and end of a text, and has [IMG] beside them.
    """
    added = tokenizer.added_tokens_decoder.items()
    named = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
    return {**{i: str(token) for i, token in added if token.special}, **dict(named)}


def _is_plain(tokenizer: Any, added: Collection[int], token: int) -> bool:
    """True for a token of the vocabulary itself, to which nobody added it as a special one."""
    return token not in added and 0 <= token < len(tokenizer)


def _templates(holder: Any) -> list[str]:
    template = getattr(holder, "chat_template", None) or ""
    return [str(t) for t in template.values()] if isinstance(template, dict) else [str(template)]


def end_tokens(model: nn.Module) -> set[int]:
    """Return the ids that end an answer.

    Raises:
        ModelError: the generation settings name something else than ids.
    """
    settings = getattr(model, "generation_config", None)
    if settings is None:
        settings = model.config.get_text_config()  # type: ignore[union-attr, operator]
    given = _listed(getattr(settings, "eos_token_id", None))
    wrong = [one for one in given if isinstance(one, str) or whole_number(one) is None]
    if wrong:
        raise ModelError(
            "the end token of this checkpoint must be a token's number, or a list of them, got "
            f"eos_token_id = {repr(wrong[0])[:40]}. Correct it in generation_config.json, or set "
            "model.generation_config.eos_token_id."
        )
    return _ids(given)


def _ids(value: Any) -> set[int]:
    """Return the ids of a configuration's entry: one, a list of several (Llama 3), or none."""
    found = (None if isinstance(one, str) else whole_number(one) for one in _listed(value))
    return {one for one in found if one is not None}


def _listed(value: Any) -> list[Any]:
    value = value.tolist() if hasattr(value, "tolist") else value
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
