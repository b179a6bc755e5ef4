"""The checkpoints that are offered by name, and the facts about each before it is loaded.

Families in the README's order, the smallest checkpoint of each first. Sizes are those of the
published configurations. The Hub could not be reached, so they were compared with other sources:
the exact parameter counts in REPORTED, transformers' conversion scripts (LLaVA-OneVision 0.5B,
LLaVA-NeXT Mistral) and the configurations quoted in other projects' tests (InternVL3, SmolVLM 500M,
Idefics3, Aya Vision). tests/models/test_*_checkpoints.py build them without allocating weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tokviz.errors import InputError
from tokviz.names import unknown

RUN = "run"
COUNTED, CONFIGURATION = "configuration, counted", "configuration only"
TESTED = {
    RUN: "its real weights are run by the tests",
    COUNTED: "built in its sizes without weights; the number of parameters is exactly the one that "
    "others report of the real weights, which could not be reached",
    CONFIGURATION: "built in its sizes without weights; no report of the exact number was found",
}
"""How each checkpoint was tested."""

REPORTED = {
    "llava-hf/llava-1.5-7b-hf": 7_063_427_072,
    "Qwen/Qwen2-VL-2B-Instruct": 2_208_985_600,
    "Qwen/Qwen2-VL-7B-Instruct": 8_291_375_616,
    "Qwen/Qwen2.5-VL-3B-Instruct": 3_754_622_976,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8_292_166_656,
    "Qwen/Qwen3-VL-2B-Instruct": 2_127_532_032,
    "Qwen/Qwen3-VL-4B-Instruct": 4_437_815_808,
    "Qwen/Qwen3-VL-8B-Instruct": 8_767_123_696,
    "HuggingFaceTB/SmolVLM-256M-Instruct": 256_484_928,
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct": 2_246_784_880,
    "google/paligemma-3b-mix-224": 2_923_466_480,
    "google/gemma-3-4b-it": 4_300_079_472,
    "google/gemma-3-12b-it": 12_187_325_040,
    "openbmb/MiniCPM-V-4.6": 1_300_428_016,
    "google/gemma-4-E2B-it": 5_104_297_504,
    "google/gemma-4-E4B-it": 7_941_100_832,
}
"""Parameters of the real weights, from public code and logs of people who loaded them."""


@dataclass(frozen=True)
class ModelCard:
    """The facts about one checkpoint before it is loaded."""

    name: str
    "The argument of `tokviz.load`."
    title: str
    family: str
    parameters: str
    memory_gb: float
    "Approximate, for weights in 16 bits (the embedded model: in 32)."
    has_cls: bool
    note: str = ""
    tested: str = CONFIGURATION
    "A key of TESTED."

    @property
    def line(self) -> str:
        """The line of this model in a list of models."""
        cls = "[CLS]" if self.has_cls else "no [CLS]"
        size = f"{self.parameters} weights, {self.memory_gb:g} GB"
        return f"{self.title} · {size} · {cls} · tested: {self.tested}"

    @property
    def command(self) -> str:
        """The command that tries it on a picture."""
        question = 'picture.jpg --prompt "What is in the picture?"'
        model = "" if self.name == "embedded" else f" --model {self.name}"
        return f"python -m tokviz answer {question}{model}"


GATED = "Its licence has to be accepted on the Hub first."
TIMM = f"{GATED} It needs the packages timm and torchvision."


class Cards(dict[str, ModelCard]):
    """The cards by Hub id; an unknown one is told which may be meant."""

    def __missing__(self, name: object) -> ModelCard:
        """Raise InputError."""
        raise InputError(unknown("model card", name, self))


MODELS: dict[str, ModelCard] = Cards(
    {
        card.name: replace(card, tested=COUNTED) if card.name in REPORTED else card
        for card in (
            ModelCard(
                "embedded",
                "Embedded model",
                "llava",
                "8.3 M",
                0.1,
                True,
                "Ships with tokviz, needs no network; knows a small world of rendered things.",
                RUN,
            ),
            ModelCard("llava-hf/llava-1.5-7b-hf", "LLaVA-1.5 7B", "llava", "7.1 B", 14.5, True),
            ModelCard("llava-hf/llava-1.5-13b-hf", "LLaVA-1.5 13B", "llava", "13.4 B", 27, True),
            ModelCard(
                "llava-hf/llava-v1.6-vicuna-7b-hf",
                "LLaVA-NeXT 7B (Vicuna)",
                "llava_next",
                "7.1 B",
                14.1,
                True,
            ),
            ModelCard(
                "llava-hf/llava-v1.6-mistral-7b-hf",
                "LLaVA-NeXT 7B (Mistral)",
                "llava_next",
                "7.6 B",
                15.1,
                True,
            ),
            ModelCard(
                "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
                "LLaVA-OneVision 0.5B",
                "llava_onevision",
                "894 M",
                1.8,
                False,
            ),
            ModelCard(
                "mistral-community/pixtral-12b", "Pixtral 12B", "pixtral", "12.7 B", 25.4, False
            ),
            ModelCard("OpenGVLab/InternVL3-1B-hf", "InternVL3 1B", "internvl", "938 M", 1.9, True),
            ModelCard("OpenGVLab/InternVL3-2B-hf", "InternVL3 2B", "internvl", "2.1 B", 4.2, True),
            ModelCard("Qwen/Qwen2-VL-2B-Instruct", "Qwen2-VL 2B", "qwen2_vl", "2.2 B", 4.5, False),
            ModelCard("Qwen/Qwen2-VL-7B-Instruct", "Qwen2-VL 7B", "qwen2_vl", "8.3 B", 17, False),
            ModelCard(
                "Qwen/Qwen2.5-VL-3B-Instruct", "Qwen2.5-VL 3B", "qwen2_5_vl", "3.8 B", 7.7, False
            ),
            ModelCard(
                "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL 7B", "qwen2_5_vl", "8.3 B", 17, False
            ),
            ModelCard("Qwen/Qwen3-VL-2B-Instruct", "Qwen3-VL 2B", "qwen3_vl", "2.1 B", 4.4, False),
            ModelCard("Qwen/Qwen3-VL-4B-Instruct", "Qwen3-VL 4B", "qwen3_vl", "4.4 B", 9.1, False),
            ModelCard("Qwen/Qwen3-VL-8B-Instruct", "Qwen3-VL 8B", "qwen3_vl", "8.8 B", 18, False),
            ModelCard(
                "Qwen/Qwen3-VL-30B-A3B-Instruct",
                "Qwen3-VL 30B A3B",
                "qwen3_vl_moe",
                "31.1 B",
                62,
                False,
            ),
            ModelCard("Qwen/Qwen3.5-0.8B", "Qwen3.5 0.8B", "qwen3_5", "0.9 B", 1.7, False),
            ModelCard("Qwen/Qwen3.5-4B", "Qwen3.5 4B", "qwen3_5", "4.5 B", 9.1, False),
            ModelCard(
                "Qwen/Qwen3.5-35B-A3B", "Qwen3.5 35B A3B", "qwen3_5_moe", "35.1 B", 70, False
            ),
            ModelCard(
                "zai-org/GLM-4.1V-9B-Thinking", "GLM-4.1V 9B", "glm4v", "10.3 B", 20.6, False
            ),
            ModelCard("zai-org/GLM-4.6V-Flash", "GLM-4.6V Flash", "glm4v", "10.3 B", 20.6, False),
            ModelCard(
                "deepseek-community/deepseek-vl-1.3b-chat",
                "DeepSeek-VL 1.3B",
                "deepseek_vl",
                "2.0 B",
                3.9,
                False,
            ),
            ModelCard(
                "deepseek-community/deepseek-vl-7b-chat",
                "DeepSeek-VL 7B",
                "deepseek_vl_hybrid",
                "7.3 B",
                14.7,
                False,
            ),
            ModelCard("thisisiron/Ovis2-1B-hf", "Ovis2 1B", "ovis2", "1.1 B", 2.3, False),
            ModelCard(
                "mistralai/Ministral-3-3B-Instruct-2512-BF16",
                "Ministral 3 3B",
                "mistral3",
                "3.8 B",
                7.7,
                False,
            ),
            ModelCard(
                "mistralai/Mistral-Small-3.1-24B-Instruct-2503",
                "Mistral Small 3.1",
                "mistral3",
                "24.0 B",
                48,
                False,
            ),
            ModelCard(
                "lightonai/LightOnOCR-1B-1025", "LightOnOCR 1B", "lighton_ocr", "1.0 B", 2, False
            ),
            ModelCard(
                "PaddlePaddle/PaddleOCR-VL", "PaddleOCR-VL", "paddleocr_vl", "906 M", 1.8, False
            ),
            ModelCard(
                "HuggingFaceTB/SmolVLM-256M-Instruct",
                "SmolVLM 256M",
                "idefics3",
                "256 M",
                0.52,
                False,
            ),
            ModelCard(
                "HuggingFaceTB/SmolVLM-500M-Instruct", "SmolVLM 500M", "idefics3", "507 M", 1, False
            ),
            ModelCard(
                "HuggingFaceM4/Idefics3-8B-Llama3", "Idefics3 8B", "idefics3", "8.5 B", 17, False
            ),
            ModelCard(
                "HuggingFaceTB/SmolVLM2-256M-Video-Instruct",
                "SmolVLM2 256M",
                "smolvlm",
                "256 M",
                0.52,
                False,
            ),
            ModelCard(
                "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
                "SmolVLM2 500M",
                "smolvlm",
                "507 M",
                1,
                False,
            ),
            ModelCard(
                "HuggingFaceTB/SmolVLM2-2.2B-Instruct",
                "SmolVLM2 2.2B",
                "smolvlm",
                "2.2 B",
                4.5,
                False,
            ),
            ModelCard(
                "google/paligemma-3b-mix-224",
                "PaliGemma 3B, 224 pixels",
                "paligemma",
                "2.9 B",
                5.9,
                False,
                GATED,
            ),
            ModelCard(
                "google/paligemma-3b-mix-448",
                "PaliGemma 3B, 448 pixels",
                "paligemma",
                "2.9 B",
                5.9,
                False,
                GATED,
            ),
            ModelCard(
                "google/paligemma2-3b-mix-224",
                "PaliGemma 2 3B, 224 pixels",
                "paligemma",
                "3.0 B",
                6.1,
                False,
                GATED,
            ),
            ModelCard("google/gemma-3-4b-it", "Gemma 3 4B", "gemma3", "4.3 B", 8.6, False, GATED),
            ModelCard(
                "google/gemma-3-12b-it", "Gemma 3 12B", "gemma3", "12.2 B", 24.5, False, GATED
            ),
            # counted with the audio tower (0.7 B), which is loaded and not used, and the table of
            # the layers' own inputs (2.0 and 2.3 B); without keys that are in the files, unread
            ModelCard(
                "google/gemma-3n-E2B-it", "Gemma 3n E2B", "gemma3n", "5.4 B", 10.8, False, TIMM
            ),
            ModelCard(
                "google/gemma-3n-E4B-it", "Gemma 3n E4B", "gemma3n", "7.8 B", 15.6, False, TIMM
            ),
            ModelCard("google/gemma-4-E2B-it", "Gemma 4 E2B", "gemma4", "5.1 B", 10.2, False),
            ModelCard("google/gemma-4-E4B-it", "Gemma 4 E4B", "gemma4", "7.9 B", 15.9, False),
            ModelCard(
                "google/gemma-4-26B-A4B-it", "Gemma 4 26B A4B", "gemma4", "25.8 B", 51.6, False
            ),
            ModelCard("google/gemma-4-31B-it", "Gemma 4 31B", "gemma4", "31.3 B", 62.5, False),
            ModelCard(
                "CohereLabs/aya-vision-8b",
                "Aya Vision 8B",
                "aya_vision",
                "8.6 B",
                17.3,
                False,
                GATED,
            ),
            ModelCard(
                "CohereLabs/command-a-vision-07-2025",
                "Command A Vision",
                "cohere2_vision",
                "111.9 B",
                224,
                False,
                GATED,
            ),
            ModelCard("openbmb/MiniCPM-V-4.6", "MiniCPM-V 4.6", "minicpmv4_6", "1.3 B", 2.6, False),
            ModelCard("LiquidAI/LFM2-VL-450M", "LFM2-VL 450M", "lfm2_vl", "451 M", 0.9, False),
        )
    }
)
"""Models offered by name; any other checkpoint of a supported family loads as well."""
