"""The Dockerfile reader: what it makes of instructions, and what the real Dockerfile promises."""

from pathlib import Path

import pytest

from scripts import check_docker_steps as steps

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_comments_go_and_continued_lines_are_joined():
    text = '# a comment\nFROM x\n\nRUN a \\\n  && b\nHEALTHCHECK --interval=3s \\\n  CMD ["c"]\n'
    assert steps.instructions(text) == [
        ("FROM", "x"),
        ("RUN", "a && b"),
        ("HEALTHCHECK", '--interval=3s CMD ["c"]'),
    ]


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("app.py", False),
        ("tokviz/trace/trace.py", False),
        ("tests/cli/test_main.py", True),
        (".git/config", True),
        ("tokviz/__pycache__/trace.pyc", True),
        ("components/overlay.pyi", True),
    ],
)
def test_dockerignore_rules_are_read_in_order(path, out):
    rules = ["*", "!app.py", "!tokviz/", "!components/", "**/__pycache__", "**/*.pyi"]
    assert steps.ignored(Path(path), rules) is out


def test_copy_takes_a_folders_contents_and_leaves_out_what_is_ignored(tmp_path):
    source = tmp_path / "source"
    (source / "tokviz/deep").mkdir(parents=True)
    for name in ("app.py", "tokviz/a.py", "tokviz/deep/b.py", "tokviz/c.pyi"):
        (source / name).write_text(name)
    (source / ".dockerignore").write_text("*\n!app.py\n!tokviz/\n**/*.pyi\n")
    image = steps.Image(tmp_path / "image", Path("/srv"))
    steps.copy(image, "app.py ./", source)
    steps.copy(image, "tokviz/ tokviz/", source)
    copied = {str(p.relative_to(image.cwd)) for p in image.cwd.rglob("*") if p.is_file()}
    assert copied == {"app.py", "tokviz/a.py", "tokviz/deep/b.py"}


def test_the_dockerfile_keeps_its_promises(tmp_path):
    image, ran = steps.Image(tmp_path), []
    for name, rest in steps.instructions((ROOT / "Dockerfile").read_text()):
        if name != "COPY":
            steps.carry_out(image, name, rest, ran.append)
    assert image.user == "1000"
    assert image.env["GRADIO_SERVER_PORT"] == "7860"
    assert "7860" in image.health[-1]
    assert image.command == ["python", "app.py"]
    assert ran == [["python", "-m", "pip", "install", "-r", "requirements.txt"]]
    assert image.env["HF_HOME"] == f"{tmp_path}/tmp/huggingface"


def test_everything_that_the_dockerfile_copies_is_let_in():
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    for name, rest in steps.instructions((ROOT / "Dockerfile").read_text()):
        if name == "COPY":
            for source in rest.split()[:-1]:
                assert not steps.ignored(Path(source), rules), source
