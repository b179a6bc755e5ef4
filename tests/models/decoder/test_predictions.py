"""Probabilities, entropies and candidates of many tokens at once are those of each alone."""

import pytest
import torch

from tokviz.models.decoder.predictions import WAITING, Predictions


@pytest.mark.parametrize("tokens", [1, WAITING - 1, WAITING, 2 * WAITING + 3])
def test_predictions_are_those_of_each_token_alone(tokens):
    logits = torch.randn(tokens, 50, generator=torch.Generator().manual_seed(tokens)) * 4
    logits[0, 7] = -torch.inf
    written = [int(row.argmax()) for row in logits]
    written[-1] = 3  # forced
    found = Predictions(5)
    for row, token in zip(logits, written, strict=True):
        found.add(row, token)
        assert len(found.logits) < WAITING
    shares = logits.softmax(-1)
    expected = [float(row[token]) for row, token in zip(shares, written, strict=True)]
    assert found.probabilities() == pytest.approx(expected, rel=1e-5)
    entropies = [-sum(p * p.log() for p in row if p > 0).item() for row in shares]
    assert found.entropies() == pytest.approx(entropies, rel=1e-4)
    ids, chances = found.candidates()
    assert ids.tolist() == [row.topk(5).indices.tolist() for row in logits]
    torch.testing.assert_close(chances, shares.gather(-1, ids))


def test_a_small_vocabulary_has_fewer_candidates():
    found = Predictions(5)
    found.add(torch.tensor([1.0, 2.0]), 1)
    assert found.candidates()[0].tolist() == [[1, 0]]
