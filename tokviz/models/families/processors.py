"""Processors that work without torchvision, which transformers needs for videos only.

Without torchvision every processor class that also handles videos fails to load, even for still
images. Here such a class is loaded without its video part; the PIL backend prepares the pixels.
Only the settings of the video part are read, for `film_pixels.py`, which prepares films.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

from transformers import (
    AutoProcessor,
    AutoTokenizer,
    Cohere2VisionProcessor,
    Lfm2VlProcessor,
    PretrainedConfig,
)
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.processing_utils import ProcessorMixin
from transformers.utils import cached_file, is_torchvision_available

from tokviz.models.families.cohere_pixels import Cohere2VisionImageProcessor
from tokviz.models.families.lfm2_pixels import Lfm2Pixels
from tokviz.models.families.pixtral_processor import PixtralProcessor

VIDEO = {"num_frames": 8, "fps": 1, "slice_mode": False, "downsample_mode": "16x"}
"""Settings of films that are read where a checkpoint has none of its own."""


def load_processor(path: str, config: PretrainedConfig, revision: str | None = None) -> Any:
    """Load the processor of a checkpoint; without torchvision for still images only.

    Args:
        path: a Hub id or a local folder.
        config: the checkpoint's config.
        revision: branch, tag or commit on the Hub.
    """
    if not is_torchvision_available() and has_rows(config):
        return PixtralProcessor.from_pretrained(path, revision=revision, trust_remote_code=False)
    if not is_torchvision_available() and config.model_type == "cohere2_vision":
        return with_pixels(path, Cohere2VisionProcessor, Cohere2VisionImageProcessor, revision)
    kind: Any = PROCESSOR_MAPPING.get(type(config), None)
    if kind is Lfm2VlProcessor and not is_torchvision_available():
        return with_pixels(path, kind, Lfm2Pixels, revision)
    if kind is None or is_torchvision_available() or "video_processor" not in kind.get_attributes():
        return AutoProcessor.from_pretrained(path, revision=revision, trust_remote_code=False)
    plain = still_images(kind, film_settings(path, revision))
    return plain.from_pretrained(path, revision=revision, trust_remote_code=False)


def has_rows(config: Any) -> bool:
    """Return whether a checkpoint's processor is Pixtral's, with breaks between rows of tokens."""
    tower = getattr(getattr(config, "vision_config", None), "model_type", None)
    return tower == "pixtral" and config.model_type in ("llava", "mistral3")


def with_pixels(path: str, kind: Any, pixels: Any, revision: str | None) -> Any:
    """Load a checkpoint's processor around another image processor than the one that it names.

    Args:
        path: a Hub id or a local folder.
        kind: the processor's class; its parts are an image processor and a tokenizer.
        pixels: the image processor's class.
        revision: branch, tag or commit on the Hub.
    """
    from_files = (pixels, AutoTokenizer)
    parts = [
        one.from_pretrained(path, revision=revision, trust_remote_code=False) for one in from_files
    ]
    settings, _ = kind.get_processor_dict(path, revision=revision)
    settings.setdefault("chat_template", parts[1].chat_template)
    return kind.from_args_and_dict(parts, settings)


def film_settings(path: str, revision: str | None = None) -> dict[str, Any]:
    """Return a checkpoint's settings for films; {} where it has none, and those of images count.

    transformers looks for them in the same places.
    """
    places = {"processor_config.json": True, "video_preprocessor_config.json": False}
    for name, inside in places.items():
        file = cached_file(
            path,
            name,
            revision=revision,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if file is None:
            continue
        try:
            found = json.loads(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found = found.get("video_processor") if inside and isinstance(found, dict) else found
        if isinstance(found, dict):
            return {key: value for key, value in found.items() if key.isidentifier()}
    return {}


def still_images(
    kind: type[ProcessorMixin], film: dict[str, Any] | None = None
) -> type[ProcessorMixin]:
    """Return a processor class of the same name without its video part.

    Args:
        kind: a processor class whose parts are an image processor, a tokenizer and videos.
        film: settings of the video part.
    """

    def parts(cls: type[ProcessorMixin]) -> list[str]:
        return [part for part in kind.get_attributes() if part != "video_processor"]

    # chat templates read the first two even where no video is given, MiniCPM-V's class the others
    video = SimpleNamespace(**VIDEO | (film or {}))
    body = {"get_attributes": classmethod(parts), "video_processor": video}
    if "video_processor" in kind.get_attributes()[:-1]:
        body["__init__"] = _video_amid(kind)
    elif inspect.signature(kind).parameters["video_processor"].default is inspect.Parameter.empty:
        body["__init__"] = _without_video(kind.__init__)
    return type(kind.__name__, (kind, WithoutVideo), body)


class WithoutVideo(ProcessorMixin):
    """Behind a processor class whose __init__ hands its parts on, the video processor as None."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Leave out the video processor."""
        kwargs.pop("video_processor", None)
        super().__init__(*(part for part in args if part is not None), **kwargs)


def _video_amid(kind: Any) -> Any:
    """Return an __init__ without the video processor that `kind` has before its tokenizer."""

    # the names count: transformers reads them from the code object
    def __init__(  # noqa: N807
        self: Any, image_processor: Any, tokenizer: Any, chat_template: Any = None
    ) -> None:
        kind.__init__(self, image_processor, None, tokenizer, chat_template=chat_template)

    return __init__


def _without_video(start: Any) -> FunctionType:
    """Copy an __init__ whose last required argument is the video processor, with None for it.

    A wrapper is not possible: transformers reads argument names from the code object.
    """
    defaults = (None, *(start.__defaults__ or ()))
    copy = FunctionType(
        start.__code__, start.__globals__, start.__name__, defaults, start.__closure__
    )
    copy.__kwdefaults__ = start.__kwdefaults__
    return copy
