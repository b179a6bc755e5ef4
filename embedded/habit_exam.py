"""Does model 2 say what captions claim? POPE, CHAIR and missing partners on held-out scenes."""

import random

import torch
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from embedded.claims import scenery
from embedded.exams import TOGETHER, Examinee, gather, rows_of, shares
from embedded.labels import scene_example
from embedded.packing import Turn
from embedded.questions import missing_partners
from embedded.things import NAMES, PARTNER, plural
from embedded.train_fine_tower import FINE
from embedded.world import VARIED, Scene, absent_names, scene
from tokviz.evaluation.chair import ObjectList, chair
from tokviz.evaluation.pope_questions import SPLITS, ask_about

FIRST = 50_000
"""Number of the first test scene."""
Model = LlavaForConditionalGeneration


def held_out(count: int, first: int = FIRST) -> list[Scene]:
    """Draw test scenes of the varied world."""
    return [scene(seed, "test", world=VARIED) for seed in range(first, first + count)]


def ask_yes_no(examinee: Examinee, views: list[Scene], asked: list[list[Turn]]) -> dict:
    """Tell by kind how often the answer is yes."""
    kinds = tuple({turn.kind for turns in asked for turn in turns})

    def parts():
        for start in range(0, len(views), TOGETHER):
            some = [i for i in range(start, min(start + TOGETHER, len(views))) if asked[i]]
            if some:
                examples = [scene_example(views[i], FINE) for i in some]
                item = rows_of(examples, [asked[i] for i in some], examinee.tokenizer)
                yield examinee.marks(item, yes_kinds=kinds)

    return shares(gather(parts()))


def pope(examinee: Examinee, views: list[Scene], per_image: int = 1) -> dict[str, dict]:
    """Ask POPE's questions; official reading, in which all but a no is a yes."""
    images = {str(view.seed): {t.name for t in view.things} for view in views}
    where = {str(view.seed): i for i, view in enumerate(views)}
    asked: list[list[Turn]] = [[] for _ in views]
    for split in SPLITS:
        for question in ask_about(images, split, per_image=per_image, names=NAMES):
            turn = Turn(question.text, question.label, f"{split} {question.label}")
            asked[where[question.image]].append(turn)
    found = ask_yes_no(examinee, views, asked)
    table = {}
    for split in SPLITS:
        yes, no = found[f"{split} yes"]["share"], found[f"{split} no"]["share"]
        table[split] = {
            "accuracy": round((yes + 1 - no) / 2, 4),
            "recall": yes,
            "yes_ratio": round((yes + no) / 2, 4),
            "questions": 2 * found[f"{split} yes"]["questions"],
        }
    return table


def partners(examinee: Examinee, views: list[Scene]) -> dict:
    """Ask every scene for a missing partner and for another absent thing with a partner."""
    asked: list[list[Turn]] = []
    for view in views:
        rng = random.Random(view.seed)
        missing = missing_partners(view)
        aside = {*missing, *scenery(view)}
        other = rng.choice([n for n in absent_names(view) if n in PARTNER and n not in aside])
        named = [("other", other)] + ([("partner", rng.choice(missing))] if missing else [])
        asked.append([Turn(f"Is there a {name}?", "no", kind) for kind, name in named])
    return ask_yes_no(examinee, views, asked)


@torch.no_grad()
def captions(model: Model, processor: LlavaProcessor, views: list[Scene]) -> list[str]:
    """Let the model describe scenes as a visitor would ask it to."""
    said = []
    for view in views:
        content = [{"type": "image", "image": view.image},
                   {"type": "text", "text": "Describe the image."}]  # fmt: skip
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
        )  # fmt: skip
        out = model.generate(**inputs)[:, inputs.input_ids.shape[1] :]
        said += [text.strip() for text in processor.batch_decode(out, skip_special_tokens=True)]
    return said


def chair_of(views: list[Scene], said: list[str]) -> dict[str, float]:
    """Measure CHAIR of descriptions."""
    names = ObjectList.from_lines([f"{name}, {plural(name)}" for name in NAMES])
    there = [sorted({thing.name for thing in view.things}) for view in views]
    return chair(said, there, names).as_dict()
