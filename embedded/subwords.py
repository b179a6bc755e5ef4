"""Which pieces of words does model 2 know? Byte-level BPE with a few hundred merges.

Trained on the questions, captions and answers of its world, in small and capital letters. Frequent
words are one token, longer names two or three, any other text falls into bytes: nothing is
unknown. New embeddings start from the words of the first model.
"""

import random
from collections.abc import Iterator

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from embedded import easyvqa, questions
from embedded.captions import SENTENCES
from embedded.things import COLOURS, NAMES, PLACES, plural
from embedded.wording import reword

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<image>")
"""Ids 0 to 4, as in the first model; <unk> is never used."""
MERGES = 360
COMPOUND = ("water|melon", "pine|apple", "straw|berry", "butter|fly", "snow|man", "pump|kin",
            "bi|cycle", "mush|room", "pen|guin", "chick|en", "gui|tar", "can|dle", "cam|era",
            "tur|tle")  # fmt: skip
"""Names that the merges are not to join, so that some words have several tokens."""
PARTS = {name.replace("|", ""): name.split("|") for name in COMPOUND}


def corpus(seed: int = 0, lines: int = 30_000) -> Iterator[str]:
    """Write questions and answers as the training will show them."""
    rng = random.Random(seed)
    templates = [*questions.templates(), *SENTENCES]
    easy = [text for picture in easyvqa.pictures("train")[:400] for turn in picture.questions
            for text in turn]  # fmt: skip
    for _ in range(lines):
        name, other = rng.sample(NAMES, 2)
        place = rng.choice(PLACES)
        text = rng.choice(templates).format(x=name, xs=plural(name), p=place)
        yield from apart(f"USER: \n{reword(text, rng)} ASSISTANT:")
        yield from apart(f" a {rng.choice(tuple(COLOURS))} {other} in the {place}, a {name}")
        yield rng.choice(easy)
        yield rng.choice((" yes", " no", " nothing", " 2"))


def apart(text: str) -> Iterator[str]:
    """Give a text with compound names cut behind their first part, and the other parts alone."""
    for name, (first, second) in PARTS.items():
        if name in text:
            text = text.replace(name, first)
            yield second
    yield text


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Train the tokenizer; it puts <s> in front."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    # An answer begins with a space, behind "ASSISTANT:". Decoded text has none, as with LLaMA's.
    bpe.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=len(SPECIAL) + 256 + MERGES, special_tokens=list(SPECIAL), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    bpe.train_from_iterator(corpus(), trainer)
    bpe.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", bpe.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", unk_token="<unk>", bos_token="<s>",
        eos_token="</s>", extra_special_tokens={"image_token": "<image>"}, model_max_length=2048,
    )  # fmt: skip


def first_piece(tokenizer: PreTrainedTokenizerFast, word: str) -> int:
    """Give the first token of a word inside a sentence."""
    return tokenizer.encode(" " + word, add_special_tokens=False)[0]


@torch.no_grad()
def start_embeddings(
    new: PreTrainedTokenizerFast, old: PreTrainedTokenizerFast, weights: Tensor, seed: int = 0
) -> Tensor:
    """Start the embeddings of pieces from those of the words that hold them.

    Args:
        new: tokenizer of pieces.
        old: tokenizer of whole words.
        weights: embeddings of the words, [v, d].

    Returns:
        [new v, d]; a piece of no word gets small random numbers.
    """
    spread = weights[len(SPECIAL) :].std()
    noise = torch.Generator().manual_seed(seed)
    made = torch.randn(len(new), weights.shape[1], generator=noise) * spread / 2
    holders: dict[int, list[Tensor]] = {}
    for word, number in old.get_vocab().items():
        if number < len(SPECIAL):
            continue
        for text in (" " + word, word, " " + word.capitalize(), word.capitalize()):
            for piece in new.encode(text, add_special_tokens=False):
                holders.setdefault(piece, []).append(weights[number])
    for piece, words in holders.items():
        made[piece] = torch.stack(words).mean(0) + 0.1 * made[piece]
    made[: len(SPECIAL)] = weights[: len(SPECIAL)]
    return made
