"""A pointer of git-lfs in place of a file is named as one by everything that reads files."""

import pytest

import tokviz
from tokviz.errors import TokvizError
from tokviz.evaluation import ObjectList, read_lines
from tokviz.images import open_image
from tokviz.sweeps.tables import read_table
from tokviz.trace.decisions import read_decisions

TEXT = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 123456\n"
READERS = {
    "picture.png": open_image,
    "film.mp4": open_image,
    "run.safetensors": tokviz.open_trace,
    "decisions.json": read_decisions,
    "decisions.npz": read_decisions,
    "questions.csv": lambda path: read_table(path, None),
    "questions.tsv": lambda path: read_table(path, None),
    "questions.jsonl": lambda path: read_table(path, None),
    "answers.jsonl": read_lines,
    "synonyms.txt": ObjectList.read,
}


@pytest.mark.parametrize("name", READERS)
def test_a_pointer_is_named(tmp_path, name):
    (tmp_path / name).write_text(TEXT)
    with pytest.raises(TokvizError, match="a pointer of git-lfs"):
        READERS[name](tmp_path / name)
