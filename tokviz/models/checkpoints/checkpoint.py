"""Checks of a checkpoint's folder before the model is built: may and can it be loaded?

Only safetensors are read: most other formats are pickles, which can run code when they are opened.
A repository's own code (`auto_map`) is never run.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokviz.errors import ModelError
from tokviz.git_lfs import HEAD, is_pointer, pointer_text
from tokviz.models.checkpoints.config_words import check_dtypes
from tokviz.models.checkpoints.weight_files import check_files
from tokviz.models.families.family import FAMILIES, Family

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.gguf")
"""Weights that other programs read."""
READ = (".safetensors", ".json", ".model", ".jinja", ".txt")
"""Ends of the names of files that are read of a checkpoint."""
NO_CONFIG = "there is no config.json: this is not a checkpoint of transformers."


def family_of(model_type: str, own_code: bool = False, tower: object = None) -> Family:
    """Return the family of a config's model_type, or raise ModelError, also for a missing package.

    Args:
        model_type: the value in the config.
        own_code: the checkpoint has code of its own (auto_map).
        tower: the model_type of its vision_config, see `Family.model_types`.
    """
    if f"{model_type}+{tower}" in FAMILIES:
        return FAMILIES[f"{model_type}+{tower}"]
    if model_type not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        code = " It has code of its own (auto_map), which tokviz never runs." * own_code
        raise ModelError(
            f"models of type {str(model_type)[:60]!r} are not supported yet.{code} Supported: "
            f"{known}. CONTRIBUTING.md says how to add a family.{FAMILIES.left_out()}"
        )
    FAMILIES[model_type].check_packages()
    return FAMILIES[model_type]


def check_folder(folder: str) -> Family:
    """Return the family of a checkpoint that can be loaded from a folder.

    Raises:
        ModelError: no config, none of a supported family, no safetensors, or one of them is
            missing or cut short.
    """
    check_pointers(Path(folder))
    config = read_config(Path(folder) / "config.json")
    family = family_of(config["model_type"], "auto_map" in config, tower_type(config))
    if not weight_bytes(folder):
        found = sorted(file.name for kind in PICKLES for file in Path(folder).glob(kind))
        raise ModelError(no_weights(found))
    check_dtypes(config)
    check_files(Path(folder))
    return family


def tower_type(config: Mapping[str, Any]) -> object:
    """Return the model_type of a config's vision_config, None where it names none."""
    vision = config.get("vision_config")
    return vision.get("model_type") if isinstance(vision, dict) else None


def no_weights(others: Sequence[str]) -> str:
    """Say that a checkpoint has no safetensors; `others` are its other weights."""
    what = f"only {', '.join(others[:3])}, which tokviz does not open: such files can run code"
    return (
        f"there are no .safetensors files, {what if others else 'nor any other weights'}. Choose a "
        "checkpoint with safetensors, or write them with transformers' save_pretrained()."
    )


def check_pointers(folder: Path) -> None:
    """Raise ModelError when git-lfs left pointers in place of files."""
    for file in sorted(folder.iterdir()):
        if file.suffix in READ and file.is_file():
            with file.open("rb") as opened:
                if is_pointer(opened.read(len(HEAD))):
                    raise ModelError(f"{pointer_text(file.name)}.")


def read_config(file: Path) -> dict[str, Any]:
    """Return the content of a config.json; raise ModelError if it cannot be used."""
    if not file.is_file():
        raise ModelError(NO_CONFIG)
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError("config.json is damaged (not JSON): fetch it again.") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelError("config.json names no model_type: this is not a checkpoint.")
    return config


def check_complete(missing: Collection[str]) -> None:
    """Raise ModelError if the files lack weights that the config asks for."""
    if missing:
        first = sorted(missing)[0]
        raise ModelError(
            f"its files lack {len(missing)} of the weights that config.json asks for, such as "
            f"{first[:100]}: config and weights belong to different models, or files are missing."
        )


def weight_bytes(folder: str) -> int:
    """Return the bytes of a folder's safetensors files."""
    return sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
