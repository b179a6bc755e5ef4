"""Example LLaVA: LLaVA's classes under a model_type that transformers does not know.

A family of your own usually overrides more; see `tokviz/models/families/family.py` for all it can.
"""

from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from tokviz.models.families.family import family
from tokviz.models.families.llava import Llava


class ExampleConfig(LlavaConfig):
    """The config of such a checkpoint."""

    model_type = "example_llava"


class ExampleModel(LlavaForConditionalGeneration):
    """The model of such a checkpoint."""

    config_class = ExampleConfig


AutoConfig.register("example_llava", ExampleConfig)
AutoModelForImageTextToText.register(ExampleConfig, ExampleModel)


@family
class ExampleLlava(Llava):
    """What tokviz asks about such a model."""

    name = "example_llava"
    title = "Example LLaVA"
    model_types = ("example_llava",)
