"""python -m tokviz: the lab without a browser.

Answers, tables and errors go where a shell expects them: results on stdout, one sentence on stderr
and exit status 2 when the input cannot be used, 130 after Ctrl-C. Anything else that fails keeps
its traceback; --debug shows those of errors that were told in a sentence, too.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tokviz
from tokviz import catalog
from tokviz.cli import repeats
from tokviz.cli.analyse import add_analyse
from tokviz.cli.check import add_checks
from tokviz.cli.examine import add_examine
from tokviz.cli.film import STDIN, add_film_flags, shown
from tokviz.cli.flags import add_model_flags, load_options
from tokviz.cli.interrupt import (
    INTERRUPTED,
    PIPE_CLOSED,
    InterruptionTold,
    left_out_if_interrupted,
    status_of,
    until_interrupted,
)
from tokviz.cli.output import (
    NO_ROOM,
    drop_stdout,
    log_on_stderr,
    open_closed_outputs,
    plugins_print_on_stderr,
    print_json,
    write_any_letter,
)
from tokviz.cli.parser import CommandParser
from tokviz.cli.plans import add_method_flags, option, read_methods
from tokviz.cli.sweep import add_sweep
from tokviz.errors import InputError, TokvizError
from tokviz.extras import REQUIRED, lacking
from tokviz.method_filters import FILTERS
from tokviz.time_ratio import with_repeats
from tokviz.trace import export
from tokviz.trace.decisions import read_decisions
from tokviz.trace.stages import CUT_OFF_WORDS
from tokviz.view.run_facts import facts_line

MAX_NEW_TOKENS = 64


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0, or as the module says."""
    open_closed_outputs()
    write_any_letter()
    try:
        status = _run(argv)
        sys.stdout.flush()
        return status
    except InterruptionTold:
        return INTERRUPTED
    except KeyboardInterrupt:
        print("\ntokviz: stopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `tokviz methods | head` has read enough
        drop_stdout()
        return PIPE_CLOSED
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        drop_stdout()
        print(f"tokviz: the output cannot be written: {error.strerror}.", file=sys.stderr)
        return 1


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = parsed(argv)
    except SystemExit:
        sys.stdout.flush()  # --help into a closed pipe
        raise
    try:
        with log_on_stderr(arguments.debug):
            return arguments.run(arguments) or 0
    except TokvizError as error:
        if arguments.debug:
            traceback.print_exception(error)
        print(f"tokviz: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name not in REQUIRED:
            raise
        print(f"tokviz: {lacking(error.name)}", file=sys.stderr)
        return 2


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read a command line; a shell that asks for completions gets them from argcomplete."""
    parser = make_parser()
    if argv is None and find_spec("argcomplete"):
        import_module("argcomplete").autocomplete(parser)
    return parser.parse_args(argv)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = CommandParser(
        prog="tokviz",
        description="See which visual tokens a vision-language model really uses.",
    )
    parser.add_argument("--version", action="version", version=f"tokviz {tokviz.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    parser.commands = commands
    _add_answer(commands.add_parser("answer", help="ask a model about an image"))
    add_analyse(commands.add_parser("analyse", help="ask how an answer came about"))
    add_examine(commands.add_parser)
    _add_import(commands.add_parser("import", help="show what another method decided"))
    add_checks(commands.add_parser)
    add_sweep(commands.add_parser("sweep", help="measure many questions, methods and budgets"))
    for name, what in catalog.LISTS.items():
        listing = commands.add_parser(name, help=f"list the {what}")
        one = listing.add_argument("name", nargs="?", metavar="NAME", help="all about this one")
        one.completer = _names_of(name)  # type: ignore[attr-defined]
        if name == "methods":
            _add_filters(listing)
        form = listing.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="print a JSON array")
        form.add_argument("--markdown", action="store_true", help="print a Markdown table")
        listing.set_defaults(run=_list, which=name)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show tracebacks and the log")
    return parser


def _add_filters(listing: argparse.ArgumentParser) -> None:
    """Add a flag for each question by which the surveys sort methods."""
    group = listing.add_argument_group("only methods that fit (several values: a,b)")
    for name, values in FILTERS.items():
        flag = f"--{name.replace('_', '-')}"
        group.add_argument(flag, dest=f"only_{name}", metavar="|".join(values))


def _names_of(which: str) -> Any:
    return lambda **_: [entry["name"] for entry in catalog.rows(which)]


def _add_answer(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("image", nargs="+", metavar="IMAGE",
        help="PNG, JPEG, WebP, GIF, BMP or TIFF files, a film; - = standard input")  # fmt: skip
    add_film_flags(command)
    add("--prompt", required=True, help="the question; - = the standard input")
    add_model_flags(command)
    add_method_flags(command)
    add("--option", action="append", default=[], metavar="[METHOD.]NAME=VALUE",
        help="option of a method")  # fmt: skip
    add(
        "--positions",
        choices=("keep", "repack", "mean"),
        help="position ids (default: as published)",
    )
    add("--mitigation", metavar="NAME", help="edit attention or logits (see: tokviz mitigations)")
    add(
        "--mitigation-option", action="append", default=[], metavar="NAME=VALUE",
        help="option of the mitigation",
    )  # fmt: skip
    add("--max-new-tokens", default=str(MAX_NEW_TOKENS), metavar="N", help="default: 64")
    add("--json", action="store_true", help="print one JSON object (schema: docs/cli.md)")
    add("--trace", metavar="FILE", help="also save the whole run as a .safetensors trace")
    add("--repeats", metavar="N", help="time this and the full answer in turn, N rounds (4 on)")
    command.set_defaults(run=_answer)


def _answer(arguments: argparse.Namespace) -> int:
    limit = _whole("--max-new-tokens", arguments.max_new_tokens)
    plan = _plan(arguments)
    rounds = _whole("--repeats", arguments.repeats) if arguments.repeats is not None else 0
    if arguments.repeats is not None:
        repeats.check_repeats(rounds, plan)
    _check_place(arguments.trace)
    asked = _question(arguments)
    vlm = tokviz.load(arguments.model, **load_options(arguments))
    with until_interrupted() as stop, plugins_print_on_stderr():
        trace = vlm.answer(*asked, plan=plan, max_new_tokens=limit, stop=stop)
    ratios = {}
    if rounds and not stop.is_set():
        with left_out_if_interrupted() as stop, plugins_print_on_stderr():
            own, full = vlm.time_plans(*asked, [plan, None], rounds, limit)
            trace, ratios = with_repeats(trace, own), repeats.compared(own, full)
    record = export.answer_record(trace)
    if ratios:
        record["time_ratio"] = repeats.as_json(ratios)
    if arguments.json:
        print_json(record)
    else:
        print(record["answer"])
        print(facts_line(trace), file=sys.stderr)
        print(_summary(record), file=sys.stderr)
        if ratios:
            share = record["prefill_share"]["whole_prompt"]
            print(repeats.sentence(ratios, share), file=sys.stderr)
    if arguments.trace:  # after the answer, which a full disk must not take along
        _save(trace, arguments.trace)
    return status_of(stop)


def _question(arguments: argparse.Namespace) -> tuple[list[Any], str]:
    """Return pictures and question, one of them from the standard input where it says so."""
    if [*arguments.image, arguments.prompt].count(STDIN) > 1:
        raise InputError("only one of IMAGE and --prompt can be -, the standard input.")
    if arguments.prompt == STDIN:
        return shown(arguments, arguments.image), sys.stdin.read()
    return shown(arguments, arguments.image), arguments.prompt


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
    reduced = read_methods(arguments, arguments.option, arguments.positions)
    if arguments.mitigation is None:
        if arguments.mitigation_option:
            raise InputError("--mitigation-option needs --mitigation.")
        return reduced
    known = tokviz.MITIGATIONS[arguments.mitigation].options
    options = dict(option(known, pair) for pair in arguments.mitigation_option)
    alone = tokviz.plan(mitigation=arguments.mitigation, **options)
    return alone if reduced is None else reduced.then(alone)


def _whole(flag: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{flag} must be a whole number, got {text[:40]!r}.") from None


def _check_place(file: str | None) -> None:
    """Raise InputError where no file can be written, before the model runs for nothing."""
    if file is not None and (Path(file).is_dir() or not Path(file).parent.is_dir()):
        raise InputError(f"the trace cannot be written to {file!r}: there is no such folder.")


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
    asked = {name: getattr(arguments, f"only_{name}", None) for name in FILTERS}
    filters = {name: value for name, value in asked.items() if value is not None}
    if filters and arguments.name is not None:
        raise InputError("give the NAME of one method, or filters, not both.")
    if filters:
        fitting = {
            entry.name for entry in import_module("tokviz.reduction.taxonomy").matching(filters)
        }
        rows = [row for row in rows if row["name"] in fitting]
        if not rows:
            print("tokviz: no method fits all of these filters.", file=sys.stderr)
    if arguments.name is not None:
        rows = [catalog.entry(arguments.which, arguments.name)]
    if arguments.json:
        shown = rows if arguments.name is None else rows[0]
        print_json(shown, indent=1)
    elif arguments.markdown:
        print(catalog.markdown(arguments.which, rows))
    else:
        print(catalog.plain(rows) if arguments.name is None else catalog.details(rows[0]))
