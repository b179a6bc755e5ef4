"""Counts, shares and numbers, however they come."""

import numpy as np
import pytest
import torch

from tokviz.budget import check_budget, real_number, tokens_of, whole_number
from tokviz.errors import InputError

FIFTY = [50, 50.0, "50", " 50 ", np.int64(50), np.int32(50), np.float32(50), np.array(50)]
FIFTY += [torch.tensor(50), torch.tensor([50])[0], torch.tensor(50.0)]


@pytest.mark.parametrize("value", FIFTY, ids=lambda v: f"{type(v).__name__}_{v}")
def test_a_whole_number_in_every_form(value):
    assert whole_number(value) == check_budget(value) == tokens_of(value, 100) == 50
    assert type(tokens_of(value, 100)) is int


@pytest.mark.parametrize(
    "value",
    [True, False, np.bool_(True), torch.tensor(True), 1.7, "1.7", None, [1, 2], "many", np.nan],
    ids=str,
)
def test_what_is_no_whole_number(value):
    assert whole_number(value) is None
    with pytest.raises(InputError, match="1 to 100 visual tokens"):
        tokens_of(value, 100)


def test_shares():
    assert tokens_of("50%", 576) == 288
    assert [tokens_of("25%", n) for n in (49, 50, 51, 55)] == [12, 12, 13, 14]  # the nearest count
    assert tokens_of("33.3%", 576) == 192
    assert tokens_of(" 0.1% ".strip(), 576) == 1
    assert check_budget("50.0%") == "50%"
    for wrong in ("0%", "101%", "-5%", "%", "five%"):
        with pytest.raises(InputError, match="count such as 64 or a share such as 25%"):
            tokens_of(wrong, 576)


def test_real_numbers_are_finite_and_no_truth_values():
    assert real_number("0.5") == real_number(np.float16(0.5)) == real_number(torch.tensor(0.5))
    assert [real_number(x) for x in (True, "nan", np.inf, "x", None, 10**400)] == [None] * 6


@pytest.mark.parametrize(
    "value",
    [b"5", bytearray(b"5"), memoryview(b"5"), np.bytes_(b"5"), np.array(b"5"), np.array("5"),
     np.complex64(5), 1j, np.timedelta64(5, "s"), [5], {5}, np.array([5, 6])],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_bytes_and_complex_numbers_are_no_numbers(value):
    """float() reads bytes as text: keep=b"5" was 5, and b"1" was True."""
    assert whole_number(value) is None
    assert real_number(value) is None
