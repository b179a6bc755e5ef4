"""What does model 2 show of what it was made to show? ``python -m embedded.evaluate_deep FOLDER``

FOLDER holds an exported model. Measures the nine points of its card on held-out scenes, writes
measured.json and the card beside the weights and prints the table, each figure with its goal and
with what is published of real models.
"""

import argparse
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoProcessor, LlavaForConditionalGeneration

from embedded.domain import measure as measure_domain
from embedded.exams import Examinee, by_kind, by_veil, cls_auc, on_easyvqa, under_policies
from embedded.habit_exam import captions, chair_of, held_out, partners, pope
from embedded.room_exam import room
from embedded.sink_exam import report
from embedded.subwords import COMPOUND
from embedded.tables import BEGIN, END

logger = logging.getLogger(__name__)
QUARTER = 144
CARD = Path(__file__).with_name("deep_card.md")


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    point: str
    """What is measured."""
    goal: str
    """What the model shall reach."""
    reads: Callable[[dict], object]
    """Finds the figure in the measurements."""
    published: str = ""
    """What is known of real models."""


def kind(name: str) -> Callable[[dict], object]:
    """Read the share of right answers of one kind."""
    return lambda found: found["kinds"].get(name, {}).get("share", "")


def policy_gap(found: dict) -> float:
    """Find the largest difference between the two position policies at a quarter."""
    curves = found["policies"].values()
    return round(max(abs(c[str(QUARTER)]["keep"] - c[str(QUARTER)]["repack"]) for c in curves), 4)


LINES = (
    Line("1 sink dimensions found", "1 or more", lambda f: f["sinks"]["sink_dims"],
         "2 of 4096 in LLaMA-2-7B (2402.17762)"),
    Line("1 share of layers with BOS at 40 % or more", ">= 0.33",
         lambda f: f["sinks"]["layers_with_40_percent"]),
    Line("1 visual sinks' share of the image attention", ">= 0.10",
         lambda f: f["sinks"].get("share_of_image_attention", 0.0)),
    Line("1 accuracy without visual sinks, change", "about 0",
         lambda f: round(f["sinks"]["accuracy_without_visual_sinks"] - f["sinks"]["accuracy"], 4)),
    Line("2 POPE random", "highest", lambda f: f["pope"]["random"]["accuracy"],
         "LLaVA-1.5-7B F1 0.873 (2310.03744)"),
    Line("2 POPE popular", "between", lambda f: f["pope"]["popular"]["accuracy"],
         "LLaVA-1.5-7B F1 0.861"),
    Line("2 POPE adversarial", "0.82 to 0.92", lambda f: f["pope"]["adversarial"]["accuracy"],
         "LLaVA-1.5-7B F1 0.842"),
    Line("2 POPE adversarial yes ratio", "> 0.50",
         lambda f: f["pope"]["adversarial"]["yes_ratio"]),
    Line("2 yes to a missing partner", "far above the next",
         lambda f: f["partners"]["partner"]["share"]),
    Line("2 yes to another absent thing", "low", lambda f: f["partners"]["other"]["share"]),
    Line("2 CHAIR_s", "0.20 to 0.50", lambda f: round(f["chair"]["chair_s"], 4),
         "LLaVA-1.5-7B about 0.5"),
    Line("3 keep against repack at 25 %", "<= 0.03", policy_gap),
    Line("4 prefill, 64 against 576 visual tokens", "<= 0.35",
         lambda f: f["room"]["prefill_ratio"]),
    Line("4 short answer sooner", ">= 9 of 10", lambda f: f["room"]["answers_sooner"]),
    Line("5 [CLS] AUC", ">= 0.90", lambda f: f["cls_auc"]),
    Line("6 names of several tokens", "some", lambda f: f["compound_names"]),
    Line("7 two pictures", ">= 0.90", lambda f: f["pair"]["pair"]["share"]),
    Line("8 existence", ">= 0.97", kind("existence")),
    Line("8 what is where", ">= 0.95", kind("what")),
    Line("8 place", ">= 0.95", kind("place")),
    Line("8 colour", ">= 0.97", kind("colour")),
    Line("8 count", ">= 0.90", kind("count")),
    Line("8 easy-VQA test", ">= 0.97", lambda f: f["easyvqa"]["share"]),
    Line("9 false alarms on scenes", "<= 0.02", lambda f: f["domain"]["false_alarms"]),
    Line("9 photographs caught", ">= 0.90", lambda f: f["domain"]["photographs_caught"]),
)  # fmt: skip


def measure(folder: Path, scenes: int) -> dict:
    """Measure everything; ``scenes`` says how many for accuracy, other parts take a share."""
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    examinee = Examinee(model, processor.tokenizer)
    views = held_out(scenes)
    parts: dict[str, Callable[[], object]] = {
        "kinds": lambda: by_kind(examinee, scenes),
        "pair": lambda: by_kind(examinee, scenes // 2, "pair"),
        "easyvqa": lambda: on_easyvqa(examinee, scenes),
        "policies": lambda: under_policies(examinee, scenes // 4, (288, QUARTER, 64, 32)),
        "veiled": lambda: by_veil(examinee, scenes // 8),
        "sinks": lambda: report(examinee, max(4, scenes // 16)),
        "cls_auc": lambda: cls_auc(examinee, scenes // 4),
        "pope": lambda: pope(examinee, views),
        "partners": lambda: partners(examinee, views),
        "chair": lambda: chair_of(views[::2], captions(model, processor, views[::2])),
        "room": lambda: room(examinee),
        "domain": lambda: measure_domain(model, scenes, training=4 * scenes, limits=2 * scenes),
    }  # fmt: skip
    found: dict = {"scenes": scenes, "compound_names": len(COMPOUND)}
    for name, part in parts.items():
        found[name] = part()
        logger.info("%s %s", name, json.dumps(found[name]))
    return found


def table(found: dict) -> str:
    """Tabulate the measurements with their goals."""
    lines = ["| measured | goal | model 2 | published |", "|---|---|---|---|"]
    lines += [f"| {x.point} | {x.goal} | {x.reads(found)} | {x.published} |" for x in LINES]
    return "\n".join(lines)


def write_card(folder: Path, found: dict) -> None:
    """Write README.md of an exported model, with the table of its measurements."""
    text = CARD.read_text("utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    shown = f"{before}{BEGIN}\n{table(found)}\n{END}{after}"
    (folder / "README.md").write_text(shown, "utf-8")


def main() -> None:
    """Measure a folder, write its card and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="an exported model")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    torch.set_num_threads(options.threads)
    found = measure(options.folder, options.scenes)
    (options.folder / "measured.json").write_text(json.dumps(found, indent=1) + "\n")
    write_card(options.folder, found)
    print(table(found))  # noqa: T201


if __name__ == "__main__":
    main()
