"""Write a checkpoint of model 2 as a model folder that plain transformers loads.

``python -m embedded.export_deep RUN FOLDER`` takes the newest checkpoint of the last stage begun.
"""

import argparse
from pathlib import Path

import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from embedded.model import build_processor
from embedded.runs import Run
from embedded.state import State
from embedded.train_deep_reader import DEEP_STAGES, PIECES, start

PLANS = (*reversed(DEEP_STAGES), PIECES)
"""Stages that give a whole model, the latest first."""
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | upper }}: "
    "{% if message['content'] is string %}{{ message['content'] }} "
    "{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }} {% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'assistant' %}</s>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""The prompt of LLaVA-1.5."""


def newest(folder: Path) -> State:
    """Read the newest checkpoint of a run.

    Raises:
        FileNotFoundError: no stage of reading has begun.
    """
    for plan in PLANS:
        if saved := Run(folder, plan.stage).newest():
            state = start(folder, plan)
            state.take(saved)
            return state
    raise FileNotFoundError(f"{folder} must hold a checkpoint of {PLANS[-1].stage} or later.")


def export(state: State, folder: Path) -> None:
    """Save float16 weights in shards below 10 MB and the processor beside them."""
    half = LlavaForConditionalGeneration(state.model.config)
    half.load_state_dict(state.model.state_dict())
    half.config.world = "varied"  # a key of world.WORLDS: what questions about it are drawn from
    half.generation_config = answer_briefly(state.model, state.tokenizer)
    half.to(torch.float16).save_pretrained(folder, max_shard_size="8MB")
    patch = state.model.config.vision_config.patch_size
    build_processor(state.tokenizer, patch, TEMPLATE).save_pretrained(folder)


def answer_briefly(model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast):
    """Make the generation config: greedy, long enough for a description of seven things."""
    config = model.generation_config
    config.update(
        do_sample=False, max_new_tokens=96, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return config


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="where the checkpoints are")
    parser.add_argument("folder", type=Path, help="where the model goes")
    options = parser.parse_args()
    export(newest(options.run), options.folder)
