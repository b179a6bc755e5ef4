"""The flags for loading a model, the same for every command."""

from __future__ import annotations

import argparse
from typing import Any

from tokviz import progress
from tokviz.load_options import LOAD_OPTIONS


def add_model_flags(command: argparse.ArgumentParser) -> None:
    """Add the flags for the model and its loading to a command."""
    help_text = "embedded, a Hub id or a folder (default: embedded)"
    command.add_argument("--model", default="embedded", help=help_text)
    add_loading_flags(command)


def add_loading_flags(command: argparse.ArgumentParser) -> None:
    """Add the flags for the loading of its model or models to a command."""
    add = command.add_argument
    add("--revision", help="branch, tag or commit on the Hub")
    add("--device", help="cpu, cuda, cuda:1, mps ... (default: a GPU when there is one)")
    add("--dtype", help="float32, float16 or bfloat16 (default: float32 on a CPU, 16 bits on GPUs)")
    add("--bits", type=int, metavar="4|8", help="round weights (needs accelerate, bitsandbytes)")
    add("--device-map", help="auto ...: spread layers over GPUs (needs accelerate)")
    add(
        "--max-visual-tokens",
        type=int,
        metavar="N",
        help="visual tokens of one picture at most; 0 = no bound (default: 3072 on a CPU)",
    )
    add("--clip", metavar="ID", help="the CLIP checkpoint that the vision tower comes from")


def loading(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the given flags by the names of `tokviz.load`."""
    asked = {name: getattr(arguments, name, None) for name in LOAD_OPTIONS}
    return {name: value for name, value in asked.items() if value is not None}


def load_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `tokviz.load`, with a line of progress on a terminal."""
    tell = progress.lines(arguments)
    return loading(arguments) | ({"progress": tell} if tell else {})
