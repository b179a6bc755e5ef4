"""The parser of the commands: it says which command, flag or value is meant."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from tokviz.names import did_you_mean

CHOICES = re.compile(r"invalid choice: '(.*?)' \(choose from (.*)\)", re.DOTALL)


class CommandParser(argparse.ArgumentParser):
    """Python's parser; the one of Python 3.14 makes such guesses itself, for values alone."""

    commands: Any = None
    "What `add_subparsers` returned; None in the parser of one command."

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and which value may be meant; leave with status 2."""
        if (found := CHOICES.search(message)) and "maybe you meant" not in message:
            message += did_you_mean(found[1], re.findall(r"[\w-]+", found[2]))
        super().error(message)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Read a command line; of a flag that the command does not have say which may be meant."""
        read, strange = self.parse_known_args(args, namespace)
        if strange:
            command = self.commands.choices[read.command]
            flag = next((one for one in strange if one.startswith("-")), strange[0])
            guess = did_you_mean(flag.partition("=")[0], flags_of(command))
            command.error(f"unrecognized arguments: {' '.join(strange)}{guess}")
        return read


def flags_of(command: argparse.ArgumentParser) -> list[str]:
    """Return the long flags of a command."""
    return [
        flag for one in command._actions for flag in one.option_strings if flag.startswith("--")
    ]
