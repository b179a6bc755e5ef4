"""Readers of single settings: text to value, or an error with a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

YES, NO = ("1", "yes", "true", "on"), ("0", "no", "false", "off")
DEVICE = re.compile(r"cpu|mps|(?:cuda|xpu)(?::\d{1,3})?")
HOST = re.compile(r"\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|[0-9a-f:]+:[0-9a-f:]*", re.I)
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(?:@[\w./-]+)?")


class SettingError(SystemExit):
    """A setting that cannot be used; the text is for whoever starts the server."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = 2


def refuse(name: str, allowed: str, text: str) -> NoReturn:
    """End the program with a sentence about one setting."""
    raise SettingError(f"{name} must be {allowed}, got {text[:200]!r}.")


def whole_number(least: int, most: int) -> Callable[[str, str], int]:
    """Return a reader of whole numbers."""

    def read(name: str, text: str) -> int:
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            refuse(name, f"a whole number from {least} to {most}", text)
        return int(text)

    return read


def one_of(*words: str) -> Callable[[str, str], str]:
    """Return a reader of one of a few words."""

    def read(name: str, text: str) -> str:
        return text if text in words else refuse(name, f"one of {', '.join(words)}", text)

    return read


def yes_or_no(name: str, text: str) -> bool:
    """Return whether something is switched on."""
    word = text.strip().lower()
    if word not in (*YES, *NO):
        refuse(name, "yes or no (also true or false, on or off, 1 or 0)", text)
    return word in YES


def folder(name: str, text: str) -> Path:
    """Return a folder that is there."""
    return Path(text) if Path(text).is_dir() else refuse(name, "a folder that exists", text)


def is_model(place: str) -> bool:
    """Return whether a text may name a model: the embedded one, a Hub id or a folder that exists.

    What begins like a path and is no folder is no Hub id either.
    """
    if place == "embedded":
        return True
    try:
        if place and Path(place).is_dir():
            return True
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return False
    return bool(HUB_NAME.fullmatch(place)) and not place.startswith((".", "~"))


def model_names(name: str, text: str) -> tuple[str, ...]:
    """Return the models, each of them a folder that exists, a Hub id or the embedded model."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        refuse(name, "names separated by commas, such as embedded", text)
    for one in found:
        if not is_model(one):
            refuse(name, "embedded, ids of the Hub (owner/name) or folders that exist", one)
    return found


def accounts(name: str, text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of "name:password,name:password"."""
    pairs = [part.partition(":") for part in text.split(",") if part.strip()]
    if not pairs or any(not (who.strip() and password) for who, _, password in pairs):
        raise SettingError(f"{name} must be name:password, several separated by commas.")
    return tuple((who.strip(), password) for who, _, password in pairs)


def secret_word(name: str, text: str) -> str:
    """Return the word that opens /metrics."""
    if not (len(text) >= 8 and text.isascii() and text.isprintable()):
        raise SettingError(
            f"{name} must be a secret word of at least 8 plain characters, which whoever "
            "asks for /metrics sends as Authorization: Bearer <word>."
        )
    return text


def host_names(name: str, text: str) -> tuple[str, ...]:
    """Return names such as lab.example.org, without a port."""
    found = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not found or not all(HOST.fullmatch(one) for one in found):
        refuse(name, "names such as lab.example.org or *.example.org, separated by commas", text)
    return found


def device(name: str, text: str) -> str:
    """Return a device's name; whether it is there is found out once torch is loaded."""
    return text if DEVICE.fullmatch(text) else refuse(name, "cpu, cuda, cuda:1 or mps", text)


def as_it_is(name: str, text: str) -> str:
    """Return a text that somebody else checks."""
    return text


READERS: dict[str, Callable[[str, str], Any]] = {
    "TOKVIZ_MODELS": model_names,
    "TOKVIZ_DEVICE": device,
    "TOKVIZ_DTYPE": one_of("float32", "float16", "bfloat16"),
    "TOKVIZ_BITS": lambda name, text: int(one_of("4", "8")(name, text)),
    "TOKVIZ_DEVICE_MAP": one_of("auto", "balanced", "balanced_low_0", "sequential"),
    "TOKVIZ_MAX_NEW_TOKENS": whole_number(1, 1024),
    "TOKVIZ_MAX_VISUAL_TOKENS": whole_number(0, 10**6),
    "TOKVIZ_QUEUE": whole_number(1, 10_000),
    "TOKVIZ_RUNS_MB": whole_number(1, 1_000_000),
    "TOKVIZ_HEADS_MB": whole_number(0, 1_000_000),
    "TOKVIZ_UPLOAD_MB": whole_number(1, 20),
    "TOKVIZ_UPLOADS_MB": whole_number(50, 1_000_000),
    "TOKVIZ_MAX_SECONDS": whole_number(1, 86_400),
    "TOKVIZ_REQUESTS_PER_MINUTE": whole_number(1, 10**9),
    "TOKVIZ_AUTH": accounts,
    "TOKVIZ_TRUST_PROXY": yes_or_no,
    "TOKVIZ_HOSTS": host_names,
    "TOKVIZ_CONNECTIONS": whole_number(20, 1_000_000),
    "TOKVIZ_METRICS": secret_word,
    "TOKVIZ_MCP": yes_or_no,
    "TOKVIZ_SHARE_HOURS": whole_number(0, 2160),
    "TOKVIZ_EXAMPLES": folder,
    "TOKVIZ_LOG": lambda name, text: one_of("json", "text")(name, text) == "json",
    "GRADIO_SERVER_NAME": as_it_is,
    "GRADIO_SERVER_PORT": whole_number(1, 65_535),
}
