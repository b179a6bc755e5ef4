"""Questions from folders, tables and data sets; hostile tables become one sentence."""

import json

import pytest

from tokviz.errors import InputError
from tokviz.sweeps import hub, tables
from tokviz.sweeps.question import Question
from tokviz.sweeps.sources import read_questions


def table(home, text, name="t.csv"):
    path = home / name
    path.write_text(text)
    return path


def test_a_table_gives_questions_with_how_they_are_judged(pictures):
    found = read_questions(pictures / "questions.csv")
    assert [(q.prompt, q.truth, q.kind) for q in found] == [
        ("what is this?", "a dog", "exact"),
        ("is there a dog?", "yes", "yes_no"),
        ("is there a cat?", "no", "yes_no"),
    ]
    assert found[0].images == (str(pictures / "0.png"),)


def test_a_table_with_semicolons_and_a_byte_order_mark_is_read(pictures):
    found = read_questions(table(pictures, "\ufeffimage;question;answer\n0.png;a, b?;x\n"))
    assert [(q.prompt, q.truth) for q in found] == [("a, b?", "x")]


def test_a_table_with_tabs_is_read_whatever_it_is_called(pictures):
    text = "image\tquestion\tanswer\n0.png\ta b; c?\tx\n"
    for name in ("t.tsv", "t.csv"):
        (found,) = read_questions(table(pictures, text, name))
        assert (found.prompt, found.truth) == ("a b; c?", "x")


def test_a_folder_asks_every_prompt_about_every_picture(pictures):
    found = read_questions(pictures, prompts=["a?", "b?"])
    assert [(q.name, q.prompt, q.kind) for q in found] == [
        ("0.png", "a?", "open"), ("0.png", "b?", "open"),
        ("1.png", "a?", "open"), ("1.png", "b?", "open"),
    ]  # fmt: skip


def test_json_lines_and_an_array_and_choices(pictures, write_lines):
    rows = [{"image": "0.png", "question": "which?", "answer": "B", "choices": ["a", "b"]}]
    lines = read_questions(write_lines(pictures / "t.jsonl", rows), kind="choice")
    array = read_questions(table(pictures, json.dumps(rows), "t.json"), kind="choice")
    bars = read_questions(table(pictures, "image,text,label,options\n0.png,which?,B,a | b"),
                          kind="choice")  # fmt: skip
    assert lines[0].choices == array[0].choices == bars[0].choices == ("a", "b")
    assert lines[0].digest() == array[0].digest() == bars[0].digest()


def test_pope_files(pictures, write_lines):
    rows = [{"question_id": 1, "image": "0.png", "text": "Is there a dog?", "label": "yes"}]
    path = write_lines(pictures / "coco_pope_random.json", rows)
    (found,) = read_questions(f"pope:{path}")
    assert (found.kind, found.truth, found.prompt) == ("yes_no", "yes", "Is there a dog?")


def test_easy_vqa():
    found = read_questions("easy-vqa:test", limit=3)
    assert len(found) == 3
    assert all(q.truth and q.kind == "exact" for q in found)


def test_a_data_set_from_disk_keeps_its_pictures_bytes(pictures, tmp_path):
    datasets = pytest.importorskip("datasets", reason="the library `datasets` is optional")
    rows = {"image": [str(pictures / "0.png")] * 2, "question": ["a?", "b?"], "answer": ["x", "y"]}
    data = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
    datasets.DatasetDict({"test": data}).save_to_disk(tmp_path / "data")
    found = read_questions(f"hub:{tmp_path / 'data'}:test", store=tmp_path)
    assert [q.truth for q in found] == ["x", "y"]
    assert found[0].images == found[1].images
    same = Question((str(pictures / "0.png"),), "a?", "x")
    assert found[0].digest() == same.digest()


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(hub, "import_module", absent)
    with pytest.raises(InputError, match="pip install datasets"):
        read_questions("hub:any/thing", store=tmp_path)


def test_the_same_question_has_the_same_digest_wherever_its_file_lies(pictures, tmp_path):
    copy = tmp_path / "elsewhere.png"
    copy.write_bytes((pictures / "0.png").read_bytes())
    one, other = (Question((str(p),), "a?", "x") for p in (pictures / "0.png", copy))
    assert one.digest() == other.digest()
    assert one.digest() != Question((str(copy),), "a?", "y").digest()
    assert one.digest() != Question((str(pictures / "1.png"),), "a?", "x").digest()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image,question\n../secret.png,a?\n", "outside the image folder"),
        ("image,question\n/etc/passwd,a?\n", "outside the image folder"),
        ("image,question\nlink.png,a?\n", "outside the image folder"),
        ("image,question\n9.png,a?\n", "no image '9.png'"),
        ("image,question\nhttp://x.y/z.png,a?\n", "no image"),
        ("image,question\n\0,a?\n", "cannot be used|no image"),
        ("picture,question\n0.png,a?\n", "no column for the image .* it has: picture, question"),
        ("image,words\n0.png,a?\n", "no question .* or give --prompt"),
        ("image,question\n0.png,a?,b,c\n", "more fields than columns"),
        ("image,question\n", "holds no questions"),
        ("", "holds no questions"),
        ("image,question,kind\n0.png,a?,magic\n", "t.csv row 1: kind must be one of"),
        (f"image,question\n0.png,{'x' * 9000}\n", "at most 8,000"),
        (f"image,question\n0.png,{'x' * 200_000}\n", "not a CSV file"),
        ("image,question,answer,choices\n0.png,a?,b,[1\n", "choices"),
    ],
    ids=["parent", "absolute", "link", "missing", "address", "nul", "no image column",
         "no question column", "too many fields", "no rows", "empty", "kind", "long", "huge field",
         "choices"],
)  # fmt: skip
def test_a_bad_table_is_a_sentence(pictures, text, sentence):
    (pictures.parent / "secret.png").write_bytes((pictures / "0.png").read_bytes())
    (pictures / "link.png").symlink_to(pictures.parent / "secret.png")
    with pytest.raises(InputError, match=sentence):
        read_questions(table(pictures, text))


def test_a_huge_table_is_refused_before_it_is_read(pictures):
    path = table(pictures, "image,question\n")
    with path.open("r+b") as file:
        file.truncate(tables.MAX_FILE_BYTES + 1)
    with pytest.raises(InputError, match="over 256 MB"):
        read_questions(path)


@pytest.mark.parametrize(
    "line", ["[1]", "{", "3", '{"image": {}, "question": "a?"}', "[" * 100_000], ids=len
)
def test_bad_json_lines_are_a_sentence(pictures, line):
    with pytest.raises(InputError):
        read_questions(table(pictures, line, "t.jsonl"))


def test_a_source_that_is_nothing_names_what_there_is():
    with pytest.raises(InputError, match="pope:, easy-vqa: or hub:"):
        read_questions("nowhere")
