"""Loads models from a Hub id or a local folder.

Only safetensors are read, and a repository's own code is never run.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.utils.logging import set_tqdm_hook

from tokviz.errors import ModelError, Stopped
from tokviz.models.checkpoints.attention_choice import (
    attention_note,
    foreign_attention,
    plain_attention,
)
from tokviz.models.checkpoints.before_download import look_before_download
from tokviz.models.checkpoints.checkpoint import (
    check_complete,
    check_folder,
    read_config,
    weight_bytes,
)
from tokviz.models.checkpoints.config_words import unknown_word
from tokviz.models.checkpoints.download import (
    STOPPED,
    ProgressLine,
    is_folder,
    local_copy,
)
from tokviz.models.checkpoints.memory import free_bytes
from tokviz.models.checkpoints.placement import Placement
from tokviz.models.checkpoints.weight_files import plain_notes
from tokviz.models.families.family import FAMILIES, Family
from tokviz.models.families.processors import load_processor
from tokviz.models.foreign_errors import at_load
from tokviz.models.out_of_memory import is_out_of_memory
from tokviz.shipped_files import ASSETS

log = logging.getLogger(__name__)

EMBEDDED = ASSETS / "model"
"""The model that ships with tokviz."""
_bar_lock = threading.Lock()


def load_parts(
    source: str | Path,
    placement: Placement,
    revision: str | None = None,
    progress: ProgressLine = log.info,
    stop: threading.Event | None = None,
) -> tuple[nn.Module, Any, Family, tuple[str, ...]]:
    """Return model, processor and family of a checkpoint, and notes about how it was loaded.

    Args:
        source: "embedded", a Hub id, or a local folder.
        placement: device and number type.
        revision: branch, tag or commit on the Hub.
        progress: called with one line at a time about download and loading.
        stop: when set, download and loading end at their next step.

    Raises:
        Stopped: `stop` was set.
        ModelError: nothing there, no network, an unsupported type or part, damaged files, a package
            that is missing, or no memory.
    """
    if not isinstance(source, (str, Path)) or not str(source):
        given = "an empty text" if source == "" else f"a {type(source).__name__}"
        raise ModelError(
            f"a model is 'embedded', a Hub id, a folder, or (model, processor); got {given}."
        )
    if Path(source).is_file():
        raise ModelError(
            f"{str(source)[:200]!r} is a file: give the checkpoint's folder, with its config.json."
        )
    path = str(EMBEDDED) if str(source) == "embedded" else str(source)
    # import plugins first: they may register configs that transformers does not know
    len(FAMILIES)
    size, content = 0.0, {}
    try:
        folder = _local(path, placement, revision, progress, stop)
        family = check_folder(folder)
        size = weight_bytes(folder) / 1e9
        content = read_config(Path(folder) / "config.json")
        notes = plain_notes(Path(folder), content)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        processor = load_processor(folder, config)
        _check_room(size, config.dtype, placement)
        progress(f"loading {size:.2f} GB of weights")
        with _reported(progress, stop):
            asked = foreign_attention(config)
            model, unused = _build(folder, placement, config if asked else None)
        plain_notes(Path(folder), content, unused)
        family.check_model(model)
    except Stopped:
        raise
    except ModelError as error:
        raise ModelError(_refused(source, str(error))) from error
    except Exception as error:  # files of strangers, read by transformers and what it calls
        log.info("loading %s failed", source, exc_info=True)
        full = is_out_of_memory(error)
        reason = placement.too_small(size) if full else unknown_word(error, content)
        reason = reason or at_load(error)
        raise ModelError(_refused(source, reason)) from error
    progress(f"ready on {model.device}, {placement.reason}")
    return model.eval(), processor, family, (*notes, *([attention_note(asked)] if asked else []))


def fetched(
    source: str,
    placement: Placement,
    revision: str | None,
    progress: ProgressLine,
    stop: threading.Event | None = None,
) -> None:
    """Download what `load_parts` reads, and load nothing.

    Args:
        source: a Hub id or a folder.
        placement: where it is to be loaded: what has no room there is not downloaded.
        revision: branch, tag or commit on the Hub.
        progress: called with one line at a time about the download.
        stop: when set, the download ends at its next bytes.

    Raises:
        Stopped: `stop` was set.
        ModelError: nothing there, no network, an unsupported type, or no memory.
    """
    try:
        _local(source, placement, revision, progress, stop)
    except Stopped:
        raise
    except ModelError as error:
        raise ModelError(_refused(source, str(error))) from error
    except Exception as error:  # a full disk, and what huggingface_hub says of strangers' files
        log.info("fetching %s failed", source, exc_info=True)
        raise ModelError(_refused(source, at_load(error))) from error


def _local(
    path: str,
    placement: Placement,
    revision: str | None,
    progress: ProgressLine,
    stop: threading.Event | None,
) -> str:
    """Return the folder of a checkpoint, downloaded if there is a use for it."""
    if not is_folder(path, revision):
        look_before_download(path, revision, partial(_check_room, placement=placement))
    return local_copy(path, revision, progress, stop)


def _build(folder: str, placement: Placement, config: Any) -> tuple[nn.Module, Collection[str]]:
    """Return the model with its weights on its devices, and names of weights it has no place for.

    Args:
        folder: of the checkpoint.
        placement: its devices and number type.
        config: of a checkpoint whose attention is not to be loaded; None = as it asks.
    """
    spread, build = placement.spread(), AutoModelForImageTextToText.from_pretrained
    own: Any = build if config is None else partial(plain_attention, build, config=config)
    built: Any = own(
        folder,
        dtype=placement.dtype,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        **spread,
    )
    model, found = built
    check_complete(found["missing_keys"])
    if not spread:
        model.to(placement.device)
    check_whole(model)
    return model, found["unexpected_keys"]


def check_whole(model: nn.Module) -> None:
    """Raise ModelError if some weights are not on a device that computes."""
    if any(parameter.is_meta for parameter in model.parameters()):
        raise ModelError(
            "it does not fit on the devices here: device_map would keep a part of it in main "
            "memory or on disk and copy it at every step, which tokviz does not support. Choose a "
            "smaller model, bits=4, or device cpu."
        )


def _check_room(size: float, dtype: Any, placement: Placement) -> None:
    """Raise ModelError if weights of `size` GB in their files will not fit on one device.

    Args:
        size: of the files.
        dtype: the number type in the files, as torch or config.json name it; None = 16 bits.
        placement: where the model is to run.
    """
    dtype = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    stored = dtype.itemsize if isinstance(dtype, torch.dtype) else 2
    size *= (placement.bits or 8 * placement.dtype.itemsize) / (8 * stored)
    free = None if placement.device_map else free_bytes(placement.device)
    if free is not None and size * 1e9 > free:
        raise ModelError(f"{placement.too_small(size)[:-1]}; {free / 1e9:.1f} GB are free.")


@contextmanager
def _reported(progress: ProgressLine, stop: threading.Event | None) -> Iterator[None]:
    """Report the loading of the weights as lines of text, instead of transformers' bar.

    transformers has one hook for the whole process. It is set while this thread loads, one load at
    a time, and does not change the bars of other threads.
    """
    mine = threading.get_ident()

    def bar(factory: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        if threading.get_ident() != mine or not args:
            return factory(*args, **kwargs)
        return _counted(args[0], progress, stop)

    with _bar_lock:
        before = set_tqdm_hook(bar)
        try:
            yield
        finally:
            set_tqdm_hook(before)


def _counted(items: Any, progress: ProgressLine, stop: threading.Event | None) -> Iterator[Any]:
    """Yield items, and report every quarter of them; end where `stop` is set."""
    total = len(items)
    for number, item in enumerate(items):
        if stop is not None and stop.is_set():
            raise Stopped(STOPPED)
        yield item
        if total >= 4 and (number + 1) * 4 // total > number * 4 // total:
            progress(f"loading the weights: {100 * (number + 1) // total} %")


def _refused(source: str | Path, reason: str) -> str:
    return f"the model {str(source)[:200]!r} could not be loaded: {reason}"
