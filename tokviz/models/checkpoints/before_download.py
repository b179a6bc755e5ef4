"""Is a checkpoint on the Hub worth its download? Its type, memory and disk are looked at first.

Only config.json and the list of files are fetched for that. Without network nothing is looked at:
what is on this machine is checked when it is loaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tokviz.errors import ModelError
from tokviz.models.checkpoints.checkpoint import (
    NO_CONFIG,
    family_of,
    no_weights,
    read_config,
    tower_type,
)
from tokviz.models.checkpoints.download import refusal, remote_files

REFUSED = (HFValidationError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError)
"""Answers of the Hub that no copy on this machine can change."""


def look_before_download(
    name: str, revision: str | None, check_room: Callable[[float, Any], None]
) -> None:
    """Raise ModelError for a checkpoint that could not be loaded once it is downloaded.

    Args:
        name: a Hub id.
        revision: branch, tag or commit.
        check_room: called with the gigabytes of the weights and the config's number type; raises
            ModelError when there is too little memory.

    Raises:
        ModelError: no such repository or revision, no access, an unsupported type, no safetensors,
            too little memory or disk.
    """
    try:
        config = remote_config(name, revision)
        if config is None:
            return
        family_of(config["model_type"], "auto_map" in config, tower_type(config))
        files = remote_files(name, revision)
    except REFUSED as error:
        raise ModelError(refusal(error, revision)) from error
    except (HTTPError, OSError):
        return  # the download itself says what is wrong, or finds a copy on this machine
    if not files:
        return
    weights = sum(one.file_size or 0 for one in files if one.filename.endswith(".safetensors"))
    if not weights:
        raise ModelError(no_weights([]))
    check_disk(sum(one.file_size or 0 for one in files if one.will_download))
    check_room(weights / 1e9, config.get("dtype") or config.get("torch_dtype"))


def remote_config(name: str, revision: str | None) -> dict[str, Any] | None:
    """Return the config of a checkpoint; None where there is no network and no copy."""
    try:
        return read_config(Path(hf_hub_download(name, "config.json", revision=revision)))
    except LocalEntryNotFoundError:
        return None
    except EntryNotFoundError as error:
        raise ModelError(NO_CONFIG) from error


def check_disk(missing: float) -> None:
    """Raise ModelError unless as many bytes fit on the disk where downloads are kept."""
    place = Path(constants.HF_HUB_CACHE)
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if missing > free:
        raise ModelError(
            f"{missing / 1e9:.1f} GB have to be downloaded and the disk has {free / 1e9:.1f} GB "
            "left: free some, or set HF_HOME to a folder on another disk."
        )
