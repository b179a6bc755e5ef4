"""Tiny models that read and write as their families do.

Each has the kind of tokenizer that its checkpoints have: how it marks words, where it cuts a text
before it merges, its special tokens and those that are text, who writes <bos>. The vocabulary of
the sentencepiece kinds is Mistral's, that of the byte-level kinds is trained here or published.
"""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from unittest import mock

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, processors
from tokenizers import pre_tokenizers as cuts
from tokenizers.trainers import BpeTrainer
from transformers import CohereTokenizer, GemmaTokenizer, LlamaTokenizer, PreTrainedTokenizerFast

from tests.chat_forms import LATER_FORMS
from tests.models import tiny, tiny_gemma3n, tiny_gemma4, tiny_ovis2, tiny_packed, tiny_tiles
from tests.real_tokenizers import PUBLISHED, TEXTS, mistral_pieces, tekken

WITH_TOKENIZERS = (tiny, tiny_gemma3n, tiny_gemma4, tiny_ovis2, tiny_packed, tiny_tiles)
PADDED = 5
"""Rows of the head beyond the vocabulary, as many checkpoints have them."""
ENDINGS = r"(?i:'[sdmt]|'ll|'ve|'re)"
AROUND = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITS = {
    "qwen": rf"{ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{AROUND}",
    "qwen3_5": rf"{ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}|{AROUND}",
    "llama3": rf"{ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{AROUND}",
}
"""Where byte-level tokenizers cut a text into what they merge in."""


@dataclass(frozen=True)
class Words:
    """How a family's tokenizer differs from that of its tiny model."""

    kind: str
    "A key of KINDS."
    first: tuple[str, str, str, str, str]
    "The tokens 0 to 4: what a tiny model has as <unk>, <s>, </s>, <pad>, <image>."
    roles: str = "unk bos eos pad"
    "Which of the first four have a name of their own; `one` = the first token is all of them."
    more: dict[str, str] = field(default_factory=dict)
    "Further named tokens."
    instead: dict[str, str] = field(default_factory=dict)
    "A special token of the tiny model -> how the family writes it."
    plain: tuple[str, ...] = ()
    "Added tokens that are text."
    adds_bos: bool = False
    "Whether the tokenizer begins a text with <bos>."


QWEN = ("<|box_start|>", "<|box_end|>", "<|im_end|>", "<|endoftext|>", "<|quad_start|>")
THINK = ("<think>", "</think>", "<tool_call>")
COHERE = ("<UNK>", "<BOS_TOKEN>", "<EOS_TOKEN>", "<PAD>", "<image>")
DEEPSEEK = ("<｜User｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>")
LLAMA = ("<unk>", "<s>", "</s>", "<pad>", "<image>")
GEMMA4 = {"boi_token": "<|image>", "image_token": "<|image|>", "eoi_token": "<image|>"}
GEMMA4 |= {"boa_token": "<|audio>", "audio_token": "<|audio|>", "eoa_token": "<audio|>"}
ROWS = {"[IMG]": "<|image_pad|>", "[IMG_BREAK]": "<|vision_pad|>", "[IMG_END]": "<|vision_end|>"}

GEMMA3N = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
GEMMA3N |= {"image_token": "<image_soft_token>", "boa_token": "<start_of_audio>"}
GEMMA3N |= {"eoa_token": "<end_of_audio>", "audio_token": "<audio_soft_token>"}

WORDS = {
    "gemma3n": Words(
        "gemma", ("<unk>", "<bos>", "<eos>", "<pad>", "<unused0>"), adds_bos=True,
        instead={f"<{role}>": name for role, name in GEMMA3N.items()},
    ),
    "gemma4": Words(
        "gemma", ("<unk>", "<bos>", "<eos>", "<pad>", "<unused0>"), adds_bos=True,
        instead={f"<{role}>": name for role, name in GEMMA4.items()},
        plain=("\n\n", "\n\n\n", "<b>", "</b>", "[multimodal]"),
    ),
    "paddleocr_vl": Words(
        "ernie", ("<unk>", "<s>", "</s>", "<pad>", "<mask:1>"),
        more={"cls_token": "<|begin_of_sentence|>", "sep_token": "<|end_of_sentence|>"},
    ),
    "cohere2_vision": Words("cohere", COHERE, adds_bos=True),
    "aya_vision": Words("cohere", COHERE, adds_bos=True),
    "deepseek_vl": Words(
        "deepseek", (*DEEPSEEK, "<image_placeholder>"), "bos eos pad",
        instead={"<image>": "<image_placeholder>"}, adds_bos=True,
    ),
    "ovis2": Words("qwen", (*QWEN[:4], "<image>"), "eos pad"),
    "glm4v": Words(
        "llama3", (*QWEN[:2], "<|endoftext|>", "[MASK]", "<eop>"), "eos",
        plain=(*THINK, "<|begin_of_box|>", "<|end_of_box|>"),
    ),
    "granite_vision": Words(
        "granite", ("<|end_of_text|>", "<fim_prefix>", "<fim_middle>", "<fim_pad>", "<image>"),
        "one",
    ),
    "qwen3_vl": Words("qwen", QWEN, "eos pad", plain=THINK),
    "qwen3_5": Words("qwen3_5", QWEN, "eos pad", plain=THINK),
    "lfm2_vl": Words(
        "llama3", ("<|reserved_9|>", "<|startoftext|>", "<|im_end|>", "<|pad|>", "<image>"),
        "bos eos pad", plain=("python",), adds_bos=True,
    ),
    "lighton_ocr": Words("qwen", QWEN, "eos pad", instead=ROWS),
    "llava": Words("llama", LLAMA, adds_bos=True),
}  # fmt: skip
"""Family -> its tokenizer. Those of Mistral 3 and Pixtral are in tests/real_tokenizers.py."""


# -- tokenizers -----------------------------------------------------------------------------------


def byte_level(first: list[str], cut: cuts.PreTokenizer, normal=None) -> Tokenizer:
    """A byte-level tokenizer that knows the words of a few texts."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = cut
    made.decoder = decoders.ByteLevel()
    if normal is not None:
        made.normalizer = normal
    letters = cuts.ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=len(first) + 500,
        special_tokens=first,
        initial_alphabet=letters,
        show_progress=False,
    )
    made.train_from_iterator([*TEXTS, "né où 日本 日本", "Ünï 🔥🔥"], trainer)
    return made


def split_by(pattern: str) -> cuts.PreTokenizer:
    """Cut a text by a pattern, then write it in bytes."""
    own = cuts.Split(Regex(pattern), behavior="isolated")
    return cuts.Sequence([own, cuts.ByteLevel(add_prefix_space=False, use_regex=False)])


def deepseek(first: list[str]) -> Tokenizer:
    """Line breaks, words, punctuation and Chinese are cut apart, every digit alone."""
    parts = (r"[\r\n]", r"\s?\p{Latin}+", r"\s?\p{P}+", "[一-龥]+")
    splits = [cuts.Split(Regex(part), behavior="isolated") for part in parts]
    digits = cuts.Digits(individual_digits=True)
    own = [*splits, digits, cuts.ByteLevel(add_prefix_space=False, use_regex=False)]
    return byte_level(first, cuts.Sequence(own))


def granite(first: list[str]) -> Tokenizer:
    """StarCoder's: GPT-2's cuts, every digit alone."""
    parts = [cuts.Digits(individual_digits=True), cuts.ByteLevel(add_prefix_space=False)]
    return byte_level(first, cuts.Sequence(parts))


def cohere(first: list[str], **roles) -> CohereTokenizer:
    """NFC, every digit alone, GPT-2's cuts."""
    parts = [cuts.Digits(individual_digits=True), cuts.ByteLevel(add_prefix_space=False)]
    trained = byte_level(first, cuts.Sequence(parts), normalizers.NFC())
    return CohereTokenizer(**parts_of(trained), **roles)


def parts_of(trained: Tokenizer) -> dict:
    """Vocabulary and merges of a tokenizer."""
    read = json.loads(trained.to_str())["model"]
    return {"vocab": read["vocab"], "merges": [tuple(pair) for pair in read["merges"]]}


@cache
def common() -> tuple[list[str], list]:
    """The beginning of Mistral's vocabulary, Latin letters, 日, and the merges between these.

    Every other letter falls back to bytes.
    """
    read = mistral_pieces()
    ranked = sorted(read["vocab"], key=read["vocab"].get)
    single = [one for one in ranked[4000:] if len(one) == 1]
    letters = [one for one in single if ord(one) < 0x250 or one in "▁日"]
    known = dict.fromkeys([*ranked[3:4000], *letters])
    merges = [(a, b) for a, b in read["merges"] if a in known and b in known and a + b in known]
    return list(known), merges


def pieces(first: list[str]) -> dict:
    """A sentencepiece vocabulary and its merges behind other first tokens."""
    known, merges = common()
    return {"vocab": {one: i for i, one in enumerate([*first, *known])}, "merges": merges}


def llama(first: list[str]) -> Tokenizer:
    """As LLaVA-1.5's tokenizer.json: a space before every stretch between special tokens."""
    bpe = models.BPE(**pieces(first), unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    made = Tokenizer(bpe)
    marks = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    made.normalizer = normalizers.Sequence(marks)
    back = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*back, decoders.Strip(" ", 1, 0)])
    return made


def fast(make):
    """The plain class around a tokenizer."""
    return lambda first, **roles: PreTrainedTokenizerFast(tokenizer_object=make(first), **roles)


KINDS = {
    "gemma": lambda first, **roles: GemmaTokenizer(**pieces(first), **roles),
    "ernie": lambda first, **roles: LlamaTokenizer(
        **pieces(first), add_prefix_space=False, **roles
    ),
    "llama": fast(llama),
    "cohere": cohere,
    "deepseek": fast(deepseek),
    "granite": fast(granite),
    **{
        name: fast(lambda first, cut=cut: byte_level(first, split_by(cut), normalizers.NFC()))
        for name, cut in SPLITS.items()
    },
}
"""How tokenizers of a kind are made, from their first tokens and their roles."""


# -- models ---------------------------------------------------------------------------------------


def byte_tokenizer_of(name: str) -> Callable[..., PreTrainedTokenizerFast]:
    """What stands in for `byte_tokenizer` while a family's tiny model is built."""
    words, form = WORDS[name], LATER_FORMS[name]

    def made(*more: str, **named: str) -> PreTrainedTokenizerFast:
        marks = [words.instead.get(one, one) for one in more]
        special = dict.fromkeys([*words.more.values(), *marks, *form.special])
        first = list(dict.fromkeys([*words.first, *special]))
        four = ("unk", "bos", "eos", "pad")
        places = dict(zip(four, words.first, strict=False))
        roles = {f"{role}_token": places[role] for role in words.roles.split() if role in four}
        if words.roles == "one":
            roles = dict.fromkeys((f"{role}_token" for role in four), words.first[0])
        roles = {"unk_token": None, "bos_token": None, "pad_token": words.first[2]} | roles
        renamed = {role: words.instead.get(one, one) for role, one in named.items()}
        tokenizer = KINDS[words.kind](
            first,
            **roles,
            additional_special_tokens=first[4:],
            model_specific_special_tokens=words.more | renamed,
        )
        text = [AddedToken(one, special=False, normalized=False) for one in words.plain]
        tokenizer.add_tokens(text)
        tokenizer.backend_tokenizer.post_processor = processors.Sequence(behind(words))
        return tokenizer

    return made


def published_tokenizer_of(name: str) -> Callable[..., PreTrainedTokenizerFast]:
    """The same with a published vocabulary, which lacks the family's own marks."""
    words, form = WORDS[name], LATER_FORMS[name]

    def made(*more: str, **named: str) -> PreTrainedTokenizerFast:
        roles = {role: words.instead.get(one, one) for role, one in named.items()}
        marks = [words.instead.get(one, one) for one in more]
        special = list(dict.fromkeys([*marks, *roles.values(), *form.special]))
        tokenizer = PUBLISHED[name](special, **roles)
        tokenizer.backend_tokenizer.post_processor = processors.Sequence(behind(words))
        return tokenizer

    return made


def behind(words: Words) -> list:
    """What follows the tokens: offsets without blanks in the kinds that have it so, and <bos>."""
    bos = words.first[1]
    trim = words.kind in ("llama3", "granite")
    found = [processors.ByteLevel(trim_offsets=True)] if trim else []
    if words.adds_bos:
        whole = {"single": f"{bos} $A", "special_tokens": [(bos, 1)]}
        found.append(processors.TemplateProcessing(**whole))
    return found


def built(name: str, folder: Path, published: bool = False) -> tuple:
    """A family's tiny model and its processor."""
    kinds = tiny.TINY | tiny_tiles.TINY_TILES | tiny_tiles.TINY_FORMS
    if name not in WORDS:
        return with_tekken(*kinds[name].build(), folder)
    with ExitStack() as patched:
        for module in WITH_TOKENIZERS:
            own = published_tokenizer_of(name) if published else byte_tokenizer_of(name)
            patched.enter_context(mock.patch.object(module, "byte_tokenizer", own))
        model, processor = kinds[name].build()
    if published and name.startswith("qwen"):  # their tiny configs have fixed numbers
        ids = processor.tokenizer.convert_tokens_to_ids(list(tiny.QWEN_MARKS))
        for role, token in zip(("image", "video", "vision_start", "vision_end"), ids, strict=True):
            setattr(model.config, f"{role}_token_id", token)
    return model, processor


def with_tekken(model, processor, folder: Path) -> tuple:
    """A tiny Mistral 3 or Pixtral with the beginning of their vocabulary."""
    sizes = {one: getattr(processor, one) for one in ("patch_size", "spatial_merge_size")}
    made = type(processor)(processor.image_processor, tekken(folder), **sizes)
    model.config.image_token_id = made.image_token_id
    return model, made


def save(name: str, folder: Path, published: bool = False) -> Path:
    """Save a family's tiny model as a checkpoint, with its chat template and end tokens.

    Args:
        name: the family's.
        folder: for the checkpoint.
        published: whether it has a published vocabulary.
    """
    torch.manual_seed(0)
    model, processor = built(name, folder, published)
    tokenizer, form = processor.tokenizer, LATER_FORMS[name]
    processor.chat_template = form.template
    rows = len(tokenizer) + PADDED
    if name != "gemma3n":  # its vocabulary of sound is as much longer from the start
        model.resize_token_embeddings(rows, mean_resizing=False)
    if hasattr(model.config, "vocab_size"):  # Ovis names it twice
        model.config.vocab_size = rows
    tiny.shake(model)
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(list(form.ends))
    model.save_pretrained(folder / "model")
    processor.save_pretrained(folder / "model")
    return folder / "model"
