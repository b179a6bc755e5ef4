"""python -m tokviz: the lab without a browser.

Results are printed on stdout. If the input cannot be used, one sentence is printed on stderr and
the exit status is 2. Any other failure keeps its traceback.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tokviz
from tokviz import catalog
from tokviz.cli.analyse import add_analyse
from tokviz.cli.examine import add_examine
from tokviz.cli.flags import add_model_flags, load_options
from tokviz.cli.sweep import add_sweep
from tokviz.errors import InputError, TokvizError
from tokviz.trace import export
from tokviz.trace.decisions import read_decisions
from tokviz.trace.stages import CUT_OFF_WORDS

MAX_NEW_TOKENS = 64


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 2 if the input cannot be used."""
    arguments = _parser().parse_args(argv)
    try:
        with _warnings_in_lines():
            arguments.run(arguments)
    except TokvizError as error:
        print(f"tokviz: {error}", file=sys.stderr)
        return 2
    return 0


class _Line(logging.Formatter):
    """Formats a warning as one line; the sentence at the end says what failed."""

    def format(self, record: logging.LogRecord) -> str:
        """Leave the traceback out."""
        return f"tokviz: {record.getMessage()}"


@contextmanager
def _warnings_in_lines() -> Iterator[None]:
    handler = logging.StreamHandler()
    handler.setFormatter(_Line())
    log = logging.getLogger("tokviz")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tokviz",
        description="See which visual tokens a vision-language model really uses.",
    )
    parser.add_argument("--version", action="version", version=f"tokviz {tokviz.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_answer(commands.add_parser("answer", help="ask a model about an image"))
    add_analyse(commands.add_parser("analyse", help="ask how an answer came about"))
    add_examine(commands.add_parser)
    _add_import(commands.add_parser("import", help="show what another method decided"))
    add_sweep(commands.add_parser("sweep", help="measure many questions, methods and budgets"))
    for name, what in catalog.LISTS.items():
        listing = commands.add_parser(name, help=f"list the {what}")
        form = listing.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="print a JSON array")
        form.add_argument("--markdown", action="store_true", help="print a Markdown table")
        listing.set_defaults(run=_list, which=name)
    return parser


def _add_answer(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("image", metavar="IMAGE", help="a PNG, JPEG, WebP, GIF, BMP or TIFF file")
    add("--prompt", required=True, help="the question")
    add_model_flags(command)
    add("--method", help="reduce the visual tokens with this method (see: tokviz methods)")
    add("--keep", help="visual tokens to leave; goes with --method")
    add("--option", action="append", default=[], metavar="NAME=VALUE", help="option of the method")
    add("--positions", choices=("keep", "repack"), help="position ids (default: as published)")
    add("--mitigation", metavar="NAME", help="edit attention or logits (see: tokviz mitigations)")
    add(
        "--mitigation-option", action="append", default=[], metavar="NAME=VALUE",
        help="option of the mitigation",
    )  # fmt: skip
    add("--max-new-tokens", default=str(MAX_NEW_TOKENS), metavar="N", help="default: 64")
    add("--json", action="store_true", help="print one JSON object (schema: docs/cli.md)")
    add("--trace", metavar="FILE", help="also save the whole run as a .safetensors trace")
    command.set_defaults(run=_answer)


def _answer(arguments: argparse.Namespace) -> None:
    limit = _whole("--max-new-tokens", arguments.max_new_tokens)
    plan = _plan(arguments)
    vlm = tokviz.load(arguments.model, **load_options(arguments))
    trace = vlm.answer([arguments.image], arguments.prompt, plan=plan, max_new_tokens=limit)
    if arguments.trace:
        _save(trace, arguments.trace)
    record = export.answer_record(trace)
    if arguments.json:
        print(json.dumps(record, ensure_ascii=False))
        return
    print(record["answer"])
    print(_summary(record), file=sys.stderr)


def _add_import(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("file", metavar="FILE", help="JSON or npz with kept tokens or groups (docs/imports.md)")
    add("--image", metavar="IMAGE", help="the picture that was decided on")
    add("--prompt", default="", help="the question, where the file has none")
    add("--trace", metavar="FILE", help="save a trace that opens in the page; needs --image")
    command.set_defaults(run=_import)


def _import(arguments: argparse.Namespace) -> None:
    found = read_decisions(Path(arguments.file))
    if arguments.trace:
        if not arguments.image:
            raise InputError("--trace needs --image, the picture that was decided on.")
        _save(found.trace(arguments.image, arguments.prompt), arguments.trace)
    whole = found.reduction
    print(f"{found.method}: {whole.m} of {whole.n} visual tokens, {len(found.stages)} stage(s)")


def _plan(arguments: argparse.Namespace) -> Any:
    reduced = _reduction(arguments)
    if arguments.mitigation is None:
        if arguments.mitigation_option:
            raise InputError("--mitigation-option needs --mitigation.")
        return reduced
    known = tokviz.MITIGATIONS[arguments.mitigation].options
    options = dict(_option(known, pair) for pair in arguments.mitigation_option)
    alone = tokviz.plan(mitigation=arguments.mitigation, **options)
    return alone if reduced is None else reduced.then(alone)


def _reduction(arguments: argparse.Namespace) -> Any:
    if arguments.method is None:
        if arguments.keep is not None or arguments.option or arguments.positions:
            raise InputError("--keep, --option and --positions need --method.")
        return None
    if arguments.keep is None:
        raise InputError("--method needs --keep, the number of visual tokens to leave.")
    known = tokviz.METHODS[arguments.method].options
    options = dict(_option(known, pair) for pair in arguments.option)
    keep = _whole("--keep", arguments.keep)
    return tokviz.plan(arguments.method, keep=keep, positions=arguments.positions, **options)


def _option(known: Mapping[str, Any], pair: str) -> tuple[str, Any]:
    """Split name=value and convert the text to the option's type; its range is checked later."""
    name, equals, text = pair.partition("=")
    if not equals:
        raise InputError(f"--option must be NAME=VALUE, got {pair[:60]!r}.")
    option = known.get(name)
    return name, text if option is None else option.read(text)


def _whole(flag: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{flag} must be a whole number, got {text[:40]!r}.") from None


def _save(trace: Any, file: str) -> None:
    try:
        trace.save(Path(file))
    except OSError as error:
        raise InputError(f"the trace cannot be written to {file!r}: {error.strerror}.") from error


def _summary(record: dict[str, Any]) -> str:
    tokens, seconds = record["visual_tokens"], record["seconds"]
    first, total = seconds["first_token"] or 0.0, seconds["total"] or 0.0
    return (
        f"{tokens['left']} of {tokens['total']} visual tokens, first token after {first:.2f} s, "
        f"{total:.2f} s in all, {record['kv_bytes'] / 1e6:.2f} MB of KV cache{_work(record)}"
        f"{_end(record)}"
    )


def _end(record: dict[str, Any]) -> str:
    """Return a clause about an answer that was cut off or stopped; "" for any other."""
    return f"; the answer was {word}" if (word := CUT_OFF_WORDS.get(record["finish"])) else ""


def _work(record: dict[str, Any]) -> str:
    """Return a clause with the time to decide and to prefill, and the theoretical cost."""
    seconds, share = record["seconds"], record["prefill_share"]["whole_prompt"]
    if not record["stages"] or None in (seconds["decide"], seconds["prefill"]):
        return ""
    theory = "" if share is None else f" ({share:.0%} of the full arithmetic, by formula)"
    return f"; deciding {seconds['decide']:.3f} s, prefill {seconds['prefill']:.3f} s{theory}"


def _list(arguments: argparse.Namespace) -> None:
    rows = catalog.rows(arguments.which)
    if arguments.json:
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    elif arguments.markdown:
        print(catalog.markdown(arguments.which))
    else:
        print(catalog.plain(rows))
