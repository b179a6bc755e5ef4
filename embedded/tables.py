"""Writes the measurements as Markdown tables into the model card."""

from pathlib import Path

from embedded.questions import KINDS

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
TITLES = {
    "existence": "existence (is there a ... ?)",
    "what": "what is where",
    "place": "place (where is ... ?)",
    "colour": "colour",
    "count": "count (0 to 4)",
    "description": "description, every word",
}


def percent(share: float) -> str:
    """Say a share as "97.3 %"."""
    return f"{100 * share:.1f} %"


def accuracy_table(measured: dict) -> str:
    """Tabulate accuracy by kind of question."""
    lines = ["| question | exact answers | questions |", "|---|---|---|"]
    for kind in KINDS:
        found = measured["kinds"][kind]
        lines.append(f"| {TITLES[kind]} | {percent(found['accuracy'])} | {found['questions']} |")
    easy = measured["easyvqa"]
    lines.append(f"| easy-VQA test split | {percent(easy['accuracy'])} | {easy['questions']} |")
    return "\n".join(lines)


def budget_table(measured: dict) -> str:
    """Tabulate accuracy over all kinds by rule and number of visual tokens."""
    curves = measured["budgets"]
    budgets = list(next(iter(curves.values())))
    heads = " | ".join(f"{b} tokens" for b in budgets)
    lines = [f"| kept by | position ids | {heads} |", "|---" * (len(budgets) + 2) + "|"]
    for name, curve in curves.items():
        lines.append(
            f"| {name} | kept | " + " | ".join(percent(curve[b]["all"]) for b in budgets) + " |"
        )
    return "\n".join(lines)


def render(measured: dict) -> str:
    """Write all measurements as Markdown."""
    habit, pruned = measured["habit"], measured["habit_pruned"]
    return "\n\n".join(
        (
            accuracy_table(measured),
            f'AUC of [CLS] attention (feature layer, mean over heads) for "this patch lies on a '
            f'thing": **{measured["cls_auc"]:.3f}** (mean over scenes).',
            f"Habit: asked for the absent partner of a thing that is there, the model says yes "
            f"{percent(habit['partner'])} of the time; asked for another absent thing, "
            f"{percent(habit['other'])} ({habit['scenes']} scenes each). With only the 8 visual "
            f"tokens that [CLS] attends to most: {percent(pruned['partner'])} and "
            f"{percent(pruned['other'])}.",
            "Accuracy over all kinds of question when only some visual tokens stay (they keep "
            "their positions):",
            budget_table(measured),
        )
    )


def fill_card(card: Path, measured: dict) -> None:
    """Write the measurements between the two marks of the model card.

    Raises:
        ValueError: the card lacks the marks.
    """
    text = card.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{card.name} must hold the lines {BEGIN} and {END}.")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    card.write_text(f"{before}{BEGIN}\n{render(measured)}\n{END}{after}")
