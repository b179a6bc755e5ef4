"""A prompt reaches the model in the words, and the one <bos>, of its chat template."""

import pytest
from tokenizers import processors

import tokviz

PROMPT = "what is this?"
TURN = (
    "{% for m in messages %}{{ m.role }}: {% for c in m.content %}{% if c.type == 'image' %}MARK"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
MARKS = {"gemma3": "<start_of_image>", "llava": "<image>", "llava_onevision": "<image>"}


@pytest.fixture(params=[True, False], ids=["template writes bos", "tokenizer alone writes bos"])
def written(request):
    return request.param


@pytest.mark.parametrize("name", sorted(MARKS))
def test_the_prompt_has_one_bos_whoever_writes_it(checkpoint, cat, name, written):
    """Gemma 3's and Llama 3's templates write <bos>, and their tokenizers wrote a second one."""
    vlm = tokviz.load(checkpoint(name))
    vlm.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    turn = TURN.replace("MARK", MARKS[name])
    vlm.processor.chat_template = ("{{ bos_token }}" if written else "") + turn
    asked = vlm.prepare([cat, cat], PROMPT).asked
    content = [*[{"type": "image", "image": cat}] * 2, {"type": "text", "text": PROMPT}]
    expected = vlm.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True
    )
    assert asked.prompt_ids.tolist() == expected[0]
    assert asked.prompt_ids.tolist().count(vlm.tokenizer.bos_token_id) == 1
