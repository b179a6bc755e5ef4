"""Special tokens that people type on purpose reach the model; those of a prompt's frame do not."""

import numpy as np
import pytest
from PIL import Image
from tokenizers import AddedToken

import tokviz
from tests.models.tiny_words import save
from tokviz.capture import Capture
from tokviz.errors import InputError

PICTURE = Image.new("RGB", (48, 48), "red")
TYPED = {
    "glm4v": ("/nothink",),
    "llava": ("<loc0123>", "<seg001>", "<loc_12>", "</loc_3>", "<otsl>"),
    "qwen3_vl": ("<|object_ref_start|>", "<|object_ref_end|>"),
    "ovis2": ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "<point>"),
}
"""Family of a tiny model -> what users of such vocabularies are told to type."""
FRAME = (
    "<start_of_turn>", "<|user|>", "<|system|>", "[INST]", "[AVAILABLE_TOOLS]", "<turn|>",
    "<user>", "<assistant>", "<tool_call>", "<human_turn>", "<eod>", "<eot_id>", "<sep>",
    "<eop>", "<sop>", "[gMASK]",
    "<unused7>", "<SPECIAL_20>", "<mask:1>", "<fim_prefix>", "<row_1_col_2>", "<img>", "<slice>",
    "<image_id>", "<|img_row_1_col_2|>", "TILE_2", "<global-img>", "<|unknown_to_all|>",
)  # fmt: skip
"""Special tokens of roles, turns, ends, pictures and reserves, in the forms vocabularies have."""


@pytest.fixture(scope="module", params=sorted(TYPED))
def vlm(request, tmp_path_factory):
    made = tokviz.load(save(request.param, tmp_path_factory.mktemp(request.param)))
    special = [AddedToken(one, special=True) for one in (*TYPED[request.param], *FRAME)]
    made.tokenizer.add_tokens(special, special_tokens=True)
    made.model.resize_token_embeddings(len(made.tokenizer), mean_resizing=False)
    return made


def asked_as_typed(vlm, question, *tokens):
    """The question's rows are its own tokens, the special ones among them, and it is answered."""
    trace = vlm.answer(PICTURE, question, None, 1, Capture.nothing())
    own = trace["prompt_ids"][trace["own_rows"]].tolist()
    assert [vlm.tokenizer.convert_tokens_to_ids(one) for one in tokens] == [
        i for i in own if i in vlm.tokenizer.convert_tokens_to_ids(list(tokens))
    ]
    assert (
        vlm.tokenizer.decode(own).split()
        == vlm.tokenizer.decode(
            vlm.tokenizer(question, add_special_tokens=False)["input_ids"]
        ).split()
    )
    assert not set(trace["own_rows"].tolist()) & set(trace.arrays.get("mark_rows", np.zeros(0)))
    pieces = [trace.prompt_pieces[row] for row in trace["own_rows"]]
    assert all(any(one in piece for piece in pieces) for one in tokens)


def test_what_users_are_told_to_type_reaches_the_model(vlm):
    name = vlm.family.name
    for token in next(value for key, value in TYPED.items() if name.startswith(key[:5])):
        asked_as_typed(vlm, f"what is here? {token}", token)
        asked_as_typed(vlm, f"{token} what is here?", token)
        asked_as_typed(vlm, token, token)


def test_what_would_break_the_frame_of_a_prompt_stays_refused(vlm):
    tokenizer, family = vlm.tokenizer, vlm.family
    named = [tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.sep_token]
    marks = [family.image_mark(vlm.processor), getattr(vlm.processor, "image_token", None)]
    ends = tokenizer.convert_ids_to_tokens(vlm.model.generation_config.eos_token_id)
    for token in filter(None, (*named, *marks, *ends, *FRAME)):
        for question in (token, f"what is {token} here?", f"<b>{token}</b>"):
            with pytest.raises(InputError, match="reads as a command"):
                vlm.prepare(PICTURE, question)


def test_a_place_beside_a_command_does_not_let_it_through(vlm):
    typed = next(v for k, v in TYPED.items() if vlm.family.name.startswith(k[:5]))[0]
    for question in (f"{typed}<start_of_turn>", f"</s>{typed}", f"[INST] {typed}"):
        with pytest.raises(InputError, match="reads as a command"):
            vlm.prepare(PICTURE, question)


@pytest.mark.parametrize("use", ["end", "template", "config", "processor"])
def test_a_token_that_looks_like_a_word_is_refused_where_the_model_has_a_use_for_it(use, tmp_path):
    vlm = tokviz.load(save("llava", tmp_path))
    vlm.tokenizer.add_tokens([AddedToken("<ref>", special=True)], special_tokens=True)
    vlm.model.resize_token_embeddings(len(vlm.tokenizer), mean_resizing=False)
    assert vlm.prepare(PICTURE, "a <ref> b").asked.prompt == "a <ref> b"
    token = vlm.tokenizer.convert_tokens_to_ids("<ref>")
    if use == "end":
        vlm.model.generation_config.eos_token_id = [2, token]
    elif use == "template":
        vlm.processor.chat_template += "{% if tools is defined %}<ref>{% endif %}"
    elif use == "config":
        vlm.model.config.vision_start_token_id = token
    else:
        vlm.processor.crop_token = "<ref>"
    with pytest.raises(InputError, match="<ref>"):
        vlm.prepare(PICTURE, "a <ref> b")


def test_glms_switch_may_be_typed_though_its_template_can_write_it(tmp_path):
    vlm = tokviz.load(save("glm4v", tmp_path))
    vlm.tokenizer.add_tokens([AddedToken("/nothink", special=True)], special_tokens=True)
    vlm.model.resize_token_embeddings(len(vlm.tokenizer), mean_resizing=False)
    vlm.processor.chat_template = vlm.processor.chat_template.replace(
        "<|assistant|>", "{{ '/nothink' if thinking is defined and not thinking }}<|assistant|>"
    )
    asked_as_typed(vlm, "what is here? /nothink", "/nothink")
    switched = vlm.processor.chat_template.replace("is defined and", "is not defined or")
    vlm.processor.chat_template = switched  # now it writes it behind every question
    with pytest.raises(InputError, match="/nothink"):
        vlm.prepare(PICTURE, "what is here? /nothink")


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("lfm2_vl", ("<|img_row_1_col_1|>", "<|img_thumbnail|>")),
        ("aya_vision", ("TILE_1", "TILE_GLOBAL")),
    ],
)
def test_a_tiles_name_that_a_model_writes_is_no_text_of_its_answer(tmp_path, name, marks):
    vlm = tokviz.load(save(name, tmp_path))
    special = [AddedToken(one, special=True) for one in marks]
    vlm.tokenizer.add_tokens(special, special_tokens=True)
    text = "a" + "".join(marks) + " cat"
    ids = vlm.tokenizer(text, add_special_tokens=False)["input_ids"]
    said = vlm.answer_text()
    for one in ids:
        said.add(one)
    assert (said.text, said.marks) == ("a cat", (1, 2))
