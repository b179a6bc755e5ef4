"""Stages two to six of model 2: the decoder learns its new tokens, then grows to 12 layers.

The tower is frozen. Every step draws one sort of row (``row_batches``) and one policy of visual
tokens (``visible``). AdamW with weight decay moves the weights, because Muon suppresses attention
sinks (arXiv 2506.19697).
"""

import json
import logging
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from embedded.assemble import assemble
from embedded.batches import loader
from embedded.captions import ABSENT_PARTNER
from embedded.check_deep_reader import check
from embedded.deep_reader import run_layers
from embedded.growth import NEW, with_finer_patches, with_layers, with_pieces
from embedded.optim import rate
from embedded.row_batches import RowBatches
from embedded.runs import Run
from embedded.state import State
from embedded.subwords import build_tokenizer
from embedded.train_fine_tower import FINE, first_model
from embedded.train_tower import replayed
from embedded.visible import draw_policy

logger = logging.getLogger(__name__)
DEPTH = (0, 1, 2, NEW, 3, NEW, 4, NEW, 5, NEW, NEW, NEW)
"""Which old layer stands where in the deep decoder; the last ones read mostly text."""


@dataclass(frozen=True)
class ReaderPlan:
    """What a stage of reading is made of."""

    stage: str
    """Name of the stage and of its checkpoints."""
    before: str
    """The stage whose weights it starts from."""
    steps: int
    """Steps in all."""
    lr: float
    """Peak learning rate."""
    first: int
    """Number of the first training batch; every stage has its own stretch of scenes."""
    deep: bool = False
    """Whether the decoder has the layers of ``DEPTH``."""
    guide_until: float = 0.0
    """Share of the steps over which the guide fades out."""
    whole: float = 0.1
    """Share of the steps that see every visual token."""
    sink_cost: float = 0.05
    """Weight of attention that lands anywhere but on sinks."""
    blind: float = 0.0
    """Share of the steps whose late layers see no visual tokens."""
    blind_from: int = 8
    """The first of those layers."""
    watched: int = 3
    """Layers, drawn anew in each step, on which the sink cost lies."""
    pairs: float | None = None
    """Share of the steps with two pictures, if it is not the table's."""
    partners: float = ABSENT_PARTNER
    """Share of missing partners among the absent things that are asked for."""
    massive: bool = False
    """Whether visual sinks get massive activations, not only a direction."""


PIECES = ReaderPlan("pieces", "tower", steps=400, lr=7e-4, first=2 * 10**7, guide_until=1.0)
DEEP = ReaderPlan("deep", "pieces", steps=2000, lr=1e-3, first=3 * 10**7, deep=True,
                  guide_until=0.1, blind=0.35, whole=0.2)  # fmt: skip
TWO = ReaderPlan("two", "deep", steps=500, lr=5e-4, first=5 * 10**7, deep=True,
                 guide_until=0.8, blind=0.35, whole=0.2, pairs=0.5)  # fmt: skip
"""Two pictures are told apart: after the deep stage half of the answers were right."""
HABIT = ReaderPlan("habit", "two", steps=500, lr=5e-4, first=6 * 10**7, deep=True, guide_until=0.8,
                   blind=0.35, whole=0.2, pairs=0.4, partners=0.7, massive=True)  # fmt: skip
"""Until here a missing partner got a yes in 3 % only, and later layers buried the visual sinks."""
FINISH = ReaderPlan("finish", "habit", steps=1200, lr=4e-4, first=7 * 10**7, deep=True,
                    guide_until=0.5, blind=0.35, whole=0.2, pairs=0.4, partners=0.5,
                    massive=True)  # fmt: skip
"""All of it again, for what needs practice: two pictures, counting, descriptions."""
DEEP_STAGES = (DEEP, TWO, HABIT, FINISH)


def read_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Read the run's tokenizer; the first stage that needs it trains it."""
    path = folder / "tokenizer"
    if not path.exists():
        build_tokenizer().save_pretrained(path)
    return PreTrainedTokenizerFast.from_pretrained(path)


def start(folder: Path, plan: ReaderPlan) -> State:
    """Build the model of a stage, with the weights of its newest checkpoint or of its start."""
    tokenizer = read_tokenizer(folder)
    model = with_finer_patches(first_model(folder))
    if plan.before != "tower":
        model = with_pieces(model, tokenizer)
    if plan.before in {stage.stage for stage in DEEP_STAGES}:
        model = with_layers(model, DEPTH)
    weights = torch.load(folder / f"{plan.before}.pt", weights_only=True)["model"]
    model.load_state_dict(weights)
    if plan.before == "tower":
        model = with_pieces(model, tokenizer)
    elif plan.before == PIECES.stage and plan.deep:
        model = with_layers(model, DEPTH)
    return State(model, nn.Identity(), tokenizer)


def build_adamw(modules: list[nn.Module], lr: float, decay: float = 0.1) -> torch.optim.Optimizer:
    """Decay matrices; leave gains, biases and word embeddings as they are."""
    named = [pair for module in modules for pair in module.named_parameters()]
    matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in named if p.ndim != 2 or "embed" in name]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))


def train_deep_reader(folder: Path, plan: ReaderPlan) -> None:
    """Run a stage, or take it up where it was stopped."""
    run = Run(folder, plan.stage)
    if run.done.exists():
        return
    state = start(folder, plan)
    if saved := run.newest():
        state.take(saved)
    parts = state.model.model
    modules = [parts.language_model, parts.multi_modal_projector]
    state.model.requires_grad_(False)
    for module in modules:
        module.requires_grad_(True)
    optimizers = state.optimizers(lambda: [build_adamw(modules, plan.lr)])
    count = -(-(plan.steps - state.step) // 2)
    data = RowBatches(state.tokenizer, count, "train", plan.first + state.step,
                      pairs=plan.pairs, partners=plan.partners)  # fmt: skip
    rng = random.Random(f"{plan.stage} {state.step}")
    for item in replayed(loader(data)):
        began, worked = time.monotonic(), time.process_time()
        losses = step_losses(state, item, plan, rng)
        total_of(losses, plan, state.step).backward()
        state.update(optimizers, modules, plan.lr * rate(state.step, plan.steps, 50))
        if state.step % 10 == 0:
            told = " ".join(f"{key} {value.item():.3f}" for key, value in losses.items())
            took, cpu = time.monotonic() - began, time.process_time() - worked
            logger.info("%s %d/%d %.1f s/step (%.1f s CPU) %s %s", plan.stage, state.step,
                        plan.steps, took, cpu, item["sort"], told)  # fmt: skip
        if state.step % 100 == 0:
            found = check(state.model, state.tokenizer)
            logger.info("%s %d val %s", plan.stage, state.step, json.dumps(found))
        if run.due():
            run.save(state.content(optimizers), state.step)
        if state.step >= plan.steps:
            break
    run.save(state.content(optimizers), state.step, last=True)


def guide_strength(plan: ReaderPlan, step: int) -> float:
    """Fade the guide out."""
    until = plan.guide_until * plan.steps
    return 0.5 * max(0.0, 1 - step / until) if until else 0.0


def step_losses(
    state: State, item: dict, plan: ReaderPlan, rng: random.Random
) -> dict[str, Tensor]:
    """Read a batch under a drawn policy and weigh nothing yet."""
    policy = draw_policy(rng, plan.whole, FINE * FINE)
    if policy.count == FINE * FINE:
        item = halved(item)
    layers = len(state.model.model.language_model.layers)
    made = assemble(state.model, state.tokenizer, item, policy)
    seen = run_layers(
        state.model, made.front, made.sinks, made.batch,
        watched=tuple(rng.sample(range(layers), plan.watched)),
        blind_from=plan.blind_from if rng.random() < plan.blind else None,
        guided=guide_strength(plan, state.step) > 0,
    )  # fmt: skip
    losses = {"answers": functional.cross_entropy(seen.logits, seen.targets)}
    losses |= {"astray": 1 - torch.stack(list(seen.free.values())).mean()}
    losses |= {"bos": torch.stack(list(seen.on_bos.values())).mean()}
    losses |= {"guide": seen.guide_loss, "mass": seen.guide_mass, "apart": seen.apart_loss}
    return losses | made.losses


def halved(item: dict) -> dict:
    """Keep the first half of the rows of a batch, pictures and all."""
    rows = len(item["ids"])
    pictures = len(item.get("pixels", ())) // rows
    text = ("ids", "turn", "offsets", "targets", "guide_at", "guide_on", "kinds")
    some = max(1, rows // 2)
    return {
        key: value if key == "sort" else value[: some if key in text else some * pictures]
        for key, value in item.items()
    }


def total_of(losses: dict[str, Tensor], plan: ReaderPlan, step: int) -> Tensor:
    """Add up what is to become small."""
    total = losses["answers"] + plan.sink_cost * losses["astray"]
    total = total + guide_strength(plan, step) * (losses["guide"] + losses["apart"])
    leaning = losses.get("massive" if plan.massive else "lean", 0.0)
    return total + (1.0 if plan.massive else 0.1) * leaning + 0.1 * losses.get("words", 0.0)
