"""Are a checkpoint's weight files all there, whole, and plain numbers?

A safetensors file begins with the length of a JSON header (8 bytes) and the header, which says
where each tensor ends (https://huggingface.co/docs/safetensors). Nothing else is read here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

from tokviz.errors import ModelError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
MAX_HEADER = 100_000_000
"""Bytes; the format allows no longer header."""
INTEGERS = re.compile(r"[IU]\d+$")
SCALES = re.compile(r"(weight_scale|scale_inv|scales|qzeros|zero_point|absmax)$")
"""Ends of the names of what packed weights are multiplied by."""


def check_files(folder: Path) -> None:
    """Raise ModelError if a weight file that is to be loaded is missing or cut short."""
    for name in used_files(folder):
        if not (folder / name).is_file():
            raise ModelError(
                f"the file {name[:100]} is missing, which {INDEX} names: copy it here again, or "
                "download the model anew."
            )
        read_header(folder / name)


def used_files(folder: Path) -> list[str]:
    """Return the names of the files that transformers loads; none if it is to find them itself.

    Raises:
        ModelError: the list of the files is damaged.
    """
    if (folder / SINGLE).is_file():
        return [SINGLE]
    index = folder / INDEX
    if not index.is_file():
        return []
    try:
        files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        # a name that leads out of the folder is transformers' to refuse
        return sorted(name for name in files if Path(name).name == name)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(
            f"the file {INDEX} is damaged, it lists no files: copy it here again, or download the "
            "model anew."
        ) from error


def read_header(file: Path) -> dict[str, Any]:
    """Return the tensors of a safetensors file: name -> dtype, shape, data_offsets.

    Raises:
        ModelError: the file is shorter than its header says, or has none.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        text = opened.read(length) if size >= 8 and length <= MAX_HEADER else b""
    try:
        if len(text) < length and text[:1] == b"{":
            raise ModelError(
                f"the file {file.name} is cut short, it ends in its header: copy it here again, or "
                "download the model anew."
            )
        header = json.loads(text)
        header.pop("__metadata__", None)
        ends = 8 + length + max((one["data_offsets"][1] for one in header.values()), default=0)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(
            f"the file {file.name} is damaged, it does not begin as a safetensors file: copy it "
            "here again, or download the model anew."
        ) from error
    if size < ends:
        raise ModelError(
            f"the file {file.name} is cut short, it has {size:,} of {ends:,} bytes: copy it here "
            "again, or download the model anew."
        )
    return header


def plain_notes(
    folder: Path, config: Mapping[str, Any], unused: Collection[str] = ()
) -> tuple[str, ...]:
    """Return a note about weights that are loaded without what their config says of them.

    Args:
        folder: the checkpoint's.
        config: the content of its config.json.
        unused: tensors of the files that the model has no place for.

    Raises:
        ModelError: transformers does not unpack the weights, though the numbers in the files are
            packed or to be multiplied: what is loaded would be something else.
    """
    method, known = _method(config)
    if known:
        return ()
    headers = [read_header(folder / name) for name in used_files(folder)]
    packed = [name for header in headers for name, one in header.items() if is_packed(name, one)]
    packed += [name for name in sorted(unused) if SCALES.search(name)]
    if packed:
        if not method:
            raise ModelError(
                f"its weights are stored as rounded integers or with scales ({packed[0][:100]}), "
                "and config.json does not say how. Choose the checkpoint that is not quantised; "
                "bits=4 or bits=8 rounds its weights here."
            )
        raise ModelError(
            f"its weights are stored by the quantization {method!r} ({packed[0][:100]}), which "
            "transformers does not know. Choose the checkpoint that is not quantised; bits=4 or "
            "bits=8 rounds its weights here."
        )
    if not method:
        return ()
    return (
        f"config.json names the quantization {method!r}, which transformers does not know. The "
        "weights in its files are plain numbers and were loaded as such.",
    )


def _method(config: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the quantization that a config names, "" for none, and whether transformers has it."""
    asked = config.get("quantization_config")
    if asked is None and isinstance(config.get("text_config"), dict):
        asked = config["text_config"].get("quantization_config")
    if asked is None:
        return "", False
    if not isinstance(asked, dict):
        raise ModelError(
            f"config.json has quantization_config = {repr(asked)[:40]}, which must be an object "
            "with a quant_method."
        )
    rounded = asked.get("load_in_4bit") or asked.get("load_in_8bit")
    method = str(asked.get("quant_method"))
    return method[:40], bool(rounded) or method in AUTO_QUANTIZATION_CONFIG_MAPPING


def is_packed(name: str, tensor: Mapping[str, Any]) -> bool:
    """Return whether a tensor of a model's weights holds integers."""
    return (
        name.endswith(("weight", "weight_packed"))
        and INTEGERS.match(str(tensor.get("dtype"))) is not None
    )
