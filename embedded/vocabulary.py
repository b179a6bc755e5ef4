"""The words of the model: one token per word, a few hundred in all.

The tokenizer lower-cases, splits off punctuation and sends every other word to <unk>.
"""

import re

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from embedded import easyvqa, questions

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<image>")
"""Ids 0 to 4."""
EXTRA = "user assistant a an the and this that it its grey rectangle rectangles shape shapes not"


def vocabulary() -> dict[str, int]:
    """Number every word that the questions, answers and chat template use."""
    texts = [*questions.templates(), *questions.words(), *easyvqa.texts(), EXTRA, ". , ? : !"]
    found = {word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())}
    unwanted = {"x", "xs", "p", "{", "}"}
    return {word: i for i, word in enumerate((*SPECIAL, *sorted(found - unwanted)))}


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Make the word-level tokenizer; it puts <s> in front and joins words with spaces."""
    table = vocabulary()
    tokenizer = Tokenizer(models.WordLevel(table, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", table["<s>"])]
    )
    # WordPiece with no prefix joins words with spaces and closes up the punctuation.
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
        model_max_length=512,
    )
