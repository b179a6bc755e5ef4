"""Which lanes step next: alone, or in one forward, and which of them read a draft.

The lane that is ahead writes word by word, alone, as exactly as `answer` does. A lane that has
written the same words so far waits until the one ahead is some words further, or for some time,
then reads all of these in one forward (see `decoder/drafts.py`). Once two lanes have written
different words, all lanes step in one forward, each with what is known of its next words.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tokviz.models.decoder.drafts import Draft, follows, same_again, same_so_far
from tokviz.models.runs.run import Run

PATIENCE = 2.0
"""Seconds after which a lane reads a shorter draft, so that it is seen to go on."""
LONGEST = 24
"""Largest number of tokens of a draft: a lane that is so many behind another one reads them."""


@dataclass(frozen=True)
class NextSteps:
    """The next step of each lane; a lane in neither waits."""

    alone: list[Run]
    joined: list[tuple[Run, Draft]]


def next_steps(
    runs: Sequence[Run], going: Sequence[Run], after: int | None, limit: int
) -> NextSteps:
    """Return which lanes step alone and which in one forward.

    Args:
        runs: all lanes, also those that are done.
        going: the lanes that write at least one more token.
        after: number of tokens that every lane writes alone first; None = all of them.
        limit: the most tokens of an answer.
    """
    if after is None or len(runs) == 1:
        return NextSteps(list(going), [])
    able = [run for run in going if len(run.tokens) >= after and not run.alone]
    waiting = [run for run in able if ahead_of(run, going)]
    drafts = {id(run): draft_of(run, runs, limit) for run in able}
    ready = [run for run in able if enough(run, drafts[id(run)], runs)]
    fronts = [run for run in able if run not in waiting]
    if len(fronts) > 1:  # a forward for all of them takes no longer with the others
        ready = able
    elif any(drafts[id(run)].tokens for run in fronts):
        ready = [run for run in able if run in fronts or run in ready]
    alone = [run for run in going if run not in ready and run not in waiting]
    return NextSteps(alone, [(run, drafts[id(run)]) for run in ready])


def enough(run: Run, draft: Draft, runs: Sequence[Run]) -> bool:
    """Return whether a lane reads its draft now, even if another lane is ahead of it."""
    ended = [other.lane.ids for other in runs if other.view.done and not other.view.error]
    waited = draft.tokens and time.perf_counter() - run.lane.stepped_at > PATIENCE
    long = len(draft.tokens) >= LONGEST
    return bool(long or waited or same_so_far(run.lane.ids, ended))


def ahead_of(run: Run, going: Sequence[Run]) -> bool:
    """Return whether a lane that still writes is ahead of a lane, or level with it and before it.

    Args:
        run: the lane.
        going: all lanes that still write, in order.
    """
    place = going.index(run)
    for i, other in enumerate(going):
        longer = len(other.lane.ids) > len(run.lane.ids)
        if other is not run and (longer or i < place) and follows(run.lane.ids, other.lane.ids):
            return True
    return False


def draft_of(run: Run, runs: Sequence[Run], limit: int) -> Draft:
    """Return what a lane may write next: its forced tokens, or words that other lanes wrote."""
    most = min(LONGEST, limit - len(run.tokens) - 1)  # the last token read predicts one more
    forced = run.plan.forced[len(run.tokens) :][:most]
    if forced:
        return Draft(tuple(forced), len(forced))
    ids, place = run.lane.ids, runs.index(run)
    # a draft ends one token before the end of an answer that is being written, so that the lane
    # that reads it comes level with the one ahead, never past it
    others = {
        i: other.lane.ids if other.view.done else other.lane.ids[:-1]
        for i, other in enumerate(runs)
        if i != place and not other.view.error
    }
    same = same_so_far(ids, list(others.values()))
    # only from earlier lanes, so that the first lane, the full answer, keeps stepping alone
    found = same or same_again(ids, [words for i, words in others.items() if i < place])
    return Draft(tuple(found[:most]))
