"""CoreMatching asks with the question's last token, wherever the template puts it."""

import numpy as np
import pytest
import torch

import tokviz
from tokviz.models.hooks import hooked


@pytest.fixture(params=["llava", "qwen2_vl", "gemma3"])
def model(checkpoint, request):
    return tokviz.load(checkpoint(request.param))


def test_the_query_is_the_last_of_the_users_own_words(model, cat):
    """It was the prompt's last row, which is the template's."""
    prompt = "what is this?"
    plan = tokviz.plan("corematching", keep=4, at_elbow=False)
    trace = model.answer(cat, prompt, plan, 1)
    stage = trace.stages[0]
    prepared = model.prepare(cat, prompt)
    fed = []
    down = model.family.decoder(model.model).layers[stage.layer - 1].mlp.down_proj
    with (
        torch.no_grad(),
        hooked([down.register_forward_pre_hook(lambda m, a: fed.append(a[0][0]))]),
    ):
        model.model(**prepared.inputs)
    active = fed[0] > 0
    row, layout = int(prepared.asked.own_rows[-1]), prepared.asked.layout
    visual = torch.as_tensor(layout.position.astype(np.int64))
    shared = (active[visual] & active[row]).sum(1)
    assert stage.reduction.score.tolist() == shared.tolist()
    assert "?" in prepared.asked.prompt_tokens[row]
