"""Processors that work without torchvision, which transformers needs for videos only.

Without torchvision every processor class that also handles videos fails to load, even for still
images. Here such a class is loaded without its video part; the PIL backend prepares the pixels.
"""

from __future__ import annotations

import inspect
from types import FunctionType, SimpleNamespace
from typing import Any

from transformers import AutoProcessor, PretrainedConfig
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.processing_utils import ProcessorMixin
from transformers.utils import is_torchvision_available


def load_processor(path: str, config: PretrainedConfig, revision: str | None = None) -> Any:
    """Load the processor of a checkpoint; without torchvision for still images only.

    Args:
        path: a Hub id or a local folder.
        config: the checkpoint's config.
        revision: branch, tag or commit on the Hub.
    """
    kind: Any = PROCESSOR_MAPPING.get(type(config), None)
    if kind is None or is_torchvision_available() or "video_processor" not in kind.get_attributes():
        return AutoProcessor.from_pretrained(path, revision=revision, trust_remote_code=False)
    return still_images(kind).from_pretrained(path, revision=revision, trust_remote_code=False)


def still_images(kind: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """Return a processor class of the same name without its video part.

    Args:
        kind: a processor class whose parts are an image processor, a tokenizer and videos.
    """

    def parts(cls: type[ProcessorMixin]) -> list[str]:
        return [part for part in kind.get_attributes() if part != "video_processor"]

    # chat templates read these two even where no video is given
    video = SimpleNamespace(num_frames=8, fps=1)
    body = {"get_attributes": classmethod(parts), "video_processor": video}
    if inspect.signature(kind).parameters["video_processor"].default is inspect.Parameter.empty:
        body["__init__"] = _without_video(kind.__init__)
    return type(kind.__name__, (kind,), body)


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
