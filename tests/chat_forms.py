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
    numbered: str = ""
    "The template with words before every image."
    question_first: str = ""
    "The template with the text before the images."


def form(before_turn, image, text, after_turn, special, ends=()):
    """One turn: what stands before it, an image, the text, and what stands after it."""
    before_turn, image, text, after_turn = map(lines, (before_turn, image, text, after_turn))

    def template(picture, order=""):
        return (
            "{% for m in messages %}" + before_turn + "{% for c in m.content" + order + " %}"
            "{% if c.type == 'image' %}" + picture + "{% else %}" + text + "{% endif %}{% endfor %}"
            "{% endfor %}" + after_turn
        )

    numbered, first = template("Picture {{ loop.index }}: " + image), template(image, " | reverse")
    return ChatForm(template(image), special, ends, numbered, first)


def lines(text):
    """Keep the line breaks at a text's ends: Jinja drops one behind a block and at a file's end."""
    text = "{{ '\\n' }}" + text[1:] if text.startswith("\n") else text
    return text[:-1] + "{{ '\\n' }}" if text.endswith("\n") else text


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

# -- the families that were added last, with the marks that their processors look for --------------

CHAT = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
USER_TURN = "<|im_start|>{{ m.role }}\n"
COHERE_TURN = "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>"
COHERE_NEXT = "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"
ROLES = "You look at pictures and answer in everyday words.\n\n"

LATER_FORMS = {
    "gemma3n": form(
        "{{ bos_token }}<start_of_turn>{{ m.role }}\n", "<image_soft_token>", TRIMMED,
        "<end_of_turn>\n<start_of_turn>model\n", TURN, ("<eos>", "<end_of_turn>"),
    ),
    "gemma4": form(
        "{{ bos_token }}<|turn>{{ m.role }}\n", "\n\n<|image|>\n\n", TRIMMED,
        "<turn|>\n<|turn>model\n<|channel>thought\n<channel|>",
        ("<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|think|>", "<|tool_response>"),
        ("<eos>", "<turn|>", "<|tool_response>"),
    ),
    "paddleocr_vl": form(
        "{{ cls_token }}User: ", "<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>", PLAIN,
        "\nAssistant:\n", ("<|begin_of_sentence|>", "<|end_of_sentence|>"), ("</s>",),
    ),
    "cohere2_vision": form(
        "{{ bos_token }}" + COHERE_TURN, "<|IMG_PATCH|>", PLAIN, COHERE_NEXT + "<|START_RESPONSE|>",
        (*COHERE, "<|START_RESPONSE|>", "<|END_RESPONSE|>"), ("<|END_OF_TURN_TOKEN|>",),
    ),
    "aya_vision": form(
        COHERE_TURN, "<image>", PLAIN, COHERE_NEXT, COHERE, ("<|END_OF_TURN_TOKEN|>",)
    ),
    "deepseek_vl": form(
        ROLES + "User: ", "<image_placeholder>", PLAIN, "\n\nAssistant:", (),
        ("<｜end▁of▁sentence｜>",),
    ),
    "ovis2": form(USER_TURN, "<image>\n", PLAIN, ASSISTANT, CHAT, ("<|im_end|>", "<|endoftext|>")),
    "glm4v": form(
        "[gMASK]<sop><|{{ m.role }}|>\n", "<|begin_of_image|><|image|><|end_of_image|>", PLAIN,
        "<|assistant|>\n",
        ("[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "<|observation|>", "<|endoftext|>"),
        ("<|endoftext|>", "<|user|>", "<|observation|>"),
    ),
    "granite_vision": form(
        "<|system|>\n" + ROLES.strip() + "\n<|{{ m.role }}|>\n", "<image>\n", PLAIN,
        "\n<|assistant|>\n", (), ("<|end_of_text|>",),
    ),
    "qwen3_vl": form(
        USER_TURN, "<|vision_start|><|image_pad|><|vision_end|>", PLAIN, ASSISTANT, CHAT,
        ("<|im_end|>", "<|endoftext|>"),
    ),
    "qwen3_5": form(
        USER_TURN, "<|vision_start|><|image_pad|><|vision_end|>", PLAIN, ASSISTANT + "<think>\n",
        CHAT, ("<|im_end|>", "<|endoftext|>"),
    ),
    "lfm2_vl": form(
        "{{ bos_token }}" + USER_TURN, "<image>", PLAIN, ASSISTANT, CHAT, ("<|im_end|>",)
    ),
    "lighton_ocr": form(
        "<|im_start|>system<|im_end|>\n" + USER_TURN, "<|image_pad|>", PLAIN, ASSISTANT, CHAT,
        ("<|im_end|>", "<|endoftext|>"),
    ),
    "mistral3": form(
        "{{ bos_token }}[SYSTEM_PROMPT]" + ROLES.strip() + "[/SYSTEM_PROMPT][INST]", "[IMG]", PLAIN,
        "[/INST]", ("[INST]", "[/INST]"), ("</s>",),
    ),
    "pixtral": form(
        "{{ bos_token }}[INST]", "[IMG]", PLAIN, "[/INST]", ("[INST]", "[/INST]"), ("</s>",)
    ),
    "llava": form("{{ m.role | upper }}: ", "<image>\n", PLAIN, " ASSISTANT:", (), ("</s>",)),
}  # fmt: skip
"""Family -> its form."""
