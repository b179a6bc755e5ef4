"""What does the decoder of model 2 get right on validation scenes while it is trained?

Exact answers by teacher forcing (an answer is greedy-exact if and only if every token is the most
likely one behind the right ones before it), for all visual tokens and for a quarter of them under
both position policies; how often a claimed name gets a yes; how attention lands.
"""

from collections import defaultdict

import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from embedded.assemble import assemble
from embedded.deep_reader import Pass, run_layers
from embedded.row_batches import RowBatches
from embedded.subwords import first_piece
from embedded.visible import Policy

QUARTER = 144
HABITS = ("partner", "scenery")
"""Kinds of which the share of yes is told, not of right answers."""


@torch.no_grad()
def check(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, rows: int = 10
) -> dict[str, dict[str, float]]:
    """Measure all of it.

    Args:
        model: the LLaVA, tower and decoder.
        tokenizer: its tokenizer.
        rows: validation scenes; each is asked about 14 questions.

    Returns:
        "all", "keep" and "repack": share of exact answers by kind; "pair"; "bos" and "free":
        mean share of attention by layer, under "repack".
    """
    item = RowBatches(tokenizer, 1, "val", 0, "single", rows)[0]
    layers = tuple(range(len(model.model.language_model.layers)))
    found: dict[str, dict[str, float]] = {}
    torch.manual_seed(0)
    policies = {
        "all": Policy(item["cover"].shape[1], 0.0, False),
        "keep": Policy(QUARTER, 0.4, False),
        "repack": Policy(QUARTER, 0.4, True),
    }
    for name, policy in policies.items():
        made = assemble(model, tokenizer, item, policy)
        seen = run_layers(model, made.front, made.sinks, made.batch, watched=layers)
        found[name] = tally(seen, item, tokenizer)
        bos = {str(i): round(seen.on_bos[i].item(), 2) for i in layers}
        free = {str(i): round(seen.free[i].item(), 2) for i in layers}
    two = RowBatches(tokenizer, 1, "val", 0, "pair", max(2, rows // 2))[0]
    made = assemble(model, tokenizer, two, Policy(QUARTER, 0.4, True))
    found["pair"] = tally(run_layers(model, made.front, made.sinks, made.batch), two, tokenizer)
    return found | {"bos": bos, "free": free}


def tally(seen: Pass, item: dict, tokenizer: PreTrainedTokenizerFast) -> dict[str, float]:
    """Count exact answers by kind, and yes answers where a habit is asked for."""
    marks = marks_of(seen, item, tokenizer)
    return {kind: round(sum(found) / len(found), 3) for kind, found in sorted(marks.items())}


def marks_of(
    seen: Pass, item: dict, tokenizer: PreTrainedTokenizerFast, yes_kinds: tuple[str, ...] = HABITS
) -> dict[str, list[bool]]:
    """List by kind, turn by turn, whether the answer was exact; yes or not for ``yes_kinds``."""
    yes = first_piece(tokenizer, "yes")
    missed: set[tuple[int, int]] = set()
    said_yes: dict[tuple[int, int], bool] = {}
    guesses, targets = seen.logits.argmax(-1).tolist(), seen.targets.tolist()
    for (row, at), token, right in zip(seen.spots.tolist(), guesses, targets, strict=True):
        turn = (row, int(item["turn"][row, at]))
        said_yes.setdefault(turn, token == yes)
        if token != right:
            missed.add(turn)
    marks: dict[str, list[bool]] = defaultdict(list)
    for row, kinds in enumerate(item["kinds"]):
        for turn, kind in enumerate(kinds, start=1):
            at_turn = (row, turn)
            marks[kind].append(said_yes[at_turn] if kind in yes_kinds else at_turn not in missed)
    return marks
