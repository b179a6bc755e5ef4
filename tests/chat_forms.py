"""How the families put a question: their chat templates, special tokens and end tokens.

Typed after the templates that the checkpoints ship, for one turn of the user. Where a family has a
mark of its own for an image, `<image>` stands for it, which is what the tiny models know.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ChatForm:
    """One family's form."""

    template: str
    special: tuple[str, ...]
    "Special tokens that the template writes."
    ends: tuple[str, ...]
    "Tokens that end an answer, as in generation_config.json; mostly several."


def form(before_turn, image, text, after_turn, special, ends=()):
    """One turn: what stands before it, an image, the text, and what stands after it."""
    parts = (
        "{% for m in messages %}" + before_turn + "{% for c in m.content %}"
        "{% if c.type == 'image' %}" + image + "{% else %}" + text + "{% endif %}{% endfor %}"
        "{% endfor %}" + after_turn
    )
    return ChatForm(parts, special, ends)


CHATML = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|vision_start|>", "<|vision_end|>")
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
QWEN_IMAGE = "<|vision_start|><image><|vision_end|>"
TURN = ("<start_of_turn>", "<end_of_turn>")
HEADS = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>")
ASSISTANT = "<|im_end|>\n<|im_start|>assistant\n"
COHERE = ("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>")
PLAIN, TRIMMED = "{{ c.text }}", "{{ c.text | trim }}"

FORMS = {
    "qwen_vl": form(
        SYSTEM + "<|im_start|>{{ m.role }}\n", QWEN_IMAGE, PLAIN, ASSISTANT, CHATML,
        ("<|im_end|>", "<|endoftext|>"),
    ),
    "onevision": form(
        "<|im_start|>{{ m.role }} ", "<image>", "\n" + PLAIN, ASSISTANT, CHATML, ("<|im_end|>",)
    ),
    "internvl": form(
        "<|im_start|>{{ m.role }}\n", "<image>\n", PLAIN, ASSISTANT, CHATML,
        ("<|im_end|>", "<|endoftext|>"),
    ),
    "gemma3": form(
        "<start_of_turn>{{ m.role }}\n", "<image>", TRIMMED,
        "<end_of_turn>\n<start_of_turn>model\n", TURN, ("</s>", "<end_of_turn>"),
    ),
    "idefics3": form(
        "{{ m.role | capitalize }}:", "<image>", TRIMMED, "<end_of_utterance>\nAssistant:",
        ("<end_of_utterance>",), ("<end_of_utterance>", "</s>"),
    ),
    "llama3": form(
        "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n", "<image>", PLAIN,
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", HEADS,
        ("<|end_of_text|>", "<|eot_id|>"),
    ),
    "granite": form(
        "<|{{ m.role }}|>\n", "<image>\n", TRIMMED, "\n<|assistant|>\n",
        ("<|user|>", "<|assistant|>"),
    ),
    "cohere": form(
        "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<image>", PLAIN,
        "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", COHERE,
        ("<|END_OF_TURN_TOKEN|>",),
    ),
    "vicuna": form(
        "{{ m.role | upper }}: ", "<image>\n", TRIMMED, " ASSISTANT:", (), ("</s>",)
    ),
    "mistral": form("[INST] ", "<image>\n", PLAIN, " [/INST]", ("[INST]", "[/INST]"), ("</s>",)),
}  # fmt: skip
