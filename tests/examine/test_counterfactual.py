"""Searches over toy models whose minimal sets are known."""

import time

import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.evaluation import same_answer
from tokviz.examine.counterfactual import find_tokens, smallest_keep

N = 40
DOG = {7, 21}
GUESS = np.linspace(1, 0, N)


def needs_both(kept):
    """The answer is yes only while both tokens of the dog are there."""
    return ["Yes" if set(tokens.tolist()) >= DOG else "no" for tokens in kept]


def needs_either(kept):
    return ["Yes" if set(tokens.tolist()) & DOG else "no" for tokens in kept]


def test_one_of_two_needed_tokens_is_enough_to_flip():
    found = find_tokens(needs_both, N, [GUESS], "necessary")
    assert set(found.tokens.tolist()) <= DOG
    assert len(found.tokens) == 1
    assert (found.before, found.after) == ("Yes", "no")
    assert found.minimal
    assert found.sentence() == "Removing 1 token turns 'Yes' into 'no'."


def test_both_of_two_spare_tokens_must_go():
    found = find_tokens(needs_either, N, [GUESS], "necessary")
    assert set(found.tokens.tolist()) == DOG


def test_what_is_sufficient_mirrors_what_is_necessary():
    assert set(find_tokens(needs_both, N, [GUESS], "sufficient").tokens.tolist()) == DOG
    one = find_tokens(needs_either, N, [GUESS], "sufficient")
    assert len(one.tokens) == 1
    assert set(one.tokens.tolist()) <= DOG


@pytest.mark.parametrize("kind", ["necessary", "sufficient"])
@pytest.mark.parametrize("seed", range(4))
def test_the_certificate_holds_and_no_token_can_be_left_out(kind, seed):
    """A random rule: at least three of eight tokens must be there."""
    rng = np.random.default_rng(seed)
    wanted = set(rng.permutation(N)[:8].tolist())

    def rule(kept):
        return ["yes" if len(wanted & set(k.tolist())) >= 3 else "no" for k in kept]

    found = find_tokens(rule, N, [rng.random(N)], kind)

    def does_it(tokens):
        kept = tokens if kind == "sufficient" else np.setdiff1d(np.arange(N), tokens)
        return (rule([kept])[0] == "yes") == (kind == "sufficient")

    assert found.minimal
    assert does_it(found.tokens)
    assert not any(does_it(np.delete(found.tokens, i)) for i in range(len(found.tokens)))
    assert len(found.tokens) == (3 if kind == "sufficient" else 6)


def test_a_better_map_takes_fewer_runs():
    truth = np.isin(np.arange(N), list(DOG)).astype(float)
    good = find_tokens(needs_both, N, [truth], "sufficient")
    poor = find_tokens(needs_both, N, [-truth], "sufficient")
    both = find_tokens(needs_both, N, [-truth, truth], "sufficient")
    assert good.runs < poor.runs
    assert both.runs < poor.runs


def test_an_answer_that_needs_no_image_is_said_to_need_none():
    def blind(kept):
        return ["yes"] * len(kept)

    nothing = find_tokens(blind, N, [GUESS], "sufficient")
    assert nothing.found
    assert len(nothing.tokens) == 0
    assert "needs no visual token" in nothing.sentence()
    never = find_tokens(blind, N, [GUESS], "necessary")
    assert not never.found
    assert "every visual token removed" in never.sentence()


def test_without_time_the_best_so_far_is_returned_and_says_so():
    def slow(kept):
        time.sleep(0.02)
        return needs_both(kept)

    found = find_tokens(slow, N, [GUESS], "necessary", limit_s=0)
    assert found.found
    assert not found.minimal
    assert "the time ran out" in found.sentence()


def test_runs_come_in_batches_and_progress_is_told():
    told = []

    def counted(kept):
        assert len(kept) <= 8
        return needs_both(kept)

    found = find_tokens(
        counted, N, [GUESS], "sufficient", progress=lambda runs, size: told.append((runs, size))
    )
    assert told[-1][0] == found.runs
    assert [size for _, size in told] == sorted((size for _, size in told), reverse=True)


def test_maps_of_another_length_are_refused():
    with pytest.raises(InputError, match="map of 40 numbers"):
        find_tokens(needs_both, N, [np.ones(3)], "necessary")
    with pytest.raises(InputError, match="map of 40 numbers"):
        find_tokens(needs_both, N, [], "necessary")


def test_answers_are_compared_without_case_and_outer_spaces():
    assert same_answer(" Yes ", "yes")
    assert not same_answer("yes", "no")


@pytest.mark.parametrize("limit", [1, 2, 13, 99, 144])
def test_the_smallest_budget_of_a_monotone_method_is_exact(limit):
    keep, tried = smallest_keep(lambda ks: ["yes" if k >= limit else "no" for k in ks], 144)
    assert keep == limit
    assert tried[144]
    assert len(tried) < 40


def test_a_budget_that_fails_above_one_that_holds_is_not_hidden():
    """Holds at 1 to 4 by luck and from 32 on."""

    def at(budgets):
        return ["yes" if k >= 32 or k <= 4 else "no" for k in budgets]

    keep, tried = smallest_keep(at, 144)
    assert keep == 32
    assert tried[4]
    assert not tried[9]
