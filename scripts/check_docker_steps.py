"""Carry out the Dockerfile without Docker: python -m scripts.check_docker_steps

COPY and pip steps run in a clean directory and a fresh virtual environment, other RUN steps are
shown and skipped. Then one question is answered and the page is started, as a user without rights,
with a tree that it cannot write, an empty /tmp and no Hub, until the health check passes.
"""

import fnmatch
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
import venv
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
UID = 1000
START_SECONDS = 120
PORT = "7860"


@dataclass
class Image:
    """What the steps read so far amount to."""

    root: Path
    "Stands for / of the image."
    workdir: Path = Path("/")
    env: dict = field(default_factory=dict)
    user: str = "root"
    health: list = field(default_factory=list)
    command: list = field(default_factory=list)
    path: str = ""
    "PATH of the commands that run in it."

    @property
    def cwd(self):
        return self.root / self.workdir.relative_to("/")

    def inside(self, value):
        """An absolute path of the image as a path of this machine; other values as they are."""
        return f"{self.root}{value}" if value.startswith("/") else value


def instructions(text):
    """Return (NAME, rest) for each instruction: comments dropped, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    pairs = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name.upper(), rest.strip()) for name, _, rest in pairs]


def ignored(path, rules):
    """Whether .dockerignore leaves a path out; later rules win, as in Docker."""
    out, parents = False, [str(p) for p in (path, *path.parents)]
    for rule in rules:
        pattern = rule.lstrip("!").rstrip("/")
        tested = path.parts if pattern.startswith("**/") else parents
        if any(fnmatch.fnmatchcase(part, pattern.removeprefix("**/")) for part in tested):
            out = not rule.startswith("!")
    return out


def copy(image, rest, source=ROOT):
    """COPY files or one folder's contents into the tree, leaving out what .dockerignore names."""
    text = (source / ".dockerignore").read_text(encoding="utf-8")
    rules = [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]
    *names, target = [part for part in shlex.split(rest) if not part.startswith("--")]
    place = image.cwd / target
    for name in names:
        origin = source / name
        files = (
            [origin] if origin.is_file() else sorted(p for p in origin.rglob("*") if p.is_file())
        )
        for file in files:
            if ignored(file.relative_to(source), rules):
                continue
            end = place / (file.name if origin.is_file() else file.relative_to(origin))
            end.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, end)


def carry_out(image, name, rest, run):
    """Do one instruction; `run` gets the words of a pip step."""
    if name == "ENV":
        image.env |= {k: image.inside(v) for k, v in (w.split("=", 1) for w in shlex.split(rest))}
    elif name == "WORKDIR":
        image.workdir /= rest
        image.cwd.mkdir(parents=True, exist_ok=True)
    elif name == "COPY":
        copy(image, rest)
    elif name == "RUN" and "pip install" in rest:
        run(shlex.split(rest))
    elif name == "USER":
        image.user = rest
    elif name == "CMD":
        image.command = json.loads(rest)
    elif name == "HEALTHCHECK":
        image.health = json.loads(rest.partition("CMD ")[2])
    else:
        return "not carried out here"
    return ""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def build(root):
    """Carry out every instruction of the Dockerfile below `root`; return the Image."""
    image = Image(root / "image")
    venv.create(root / "venv", with_pip=True)
    image.path = f"{root / 'venv/bin'}{os.pathsep}{os.environ['PATH']}"

    def run(words):
        env = os.environ | image.env | {"PATH": image.path}
        subprocess.run(words, cwd=image.cwd, env=env, check=True, stdout=subprocess.DEVNULL)

    for name, rest in instructions((ROOT / "Dockerfile").read_text(encoding="utf-8")):
        began = time.monotonic()
        remark = carry_out(image, name, rest, run)
        print(f"{time.monotonic() - began:6.1f} s  {name} {rest[:70]}  {remark}", flush=True)
    for path in (image.root, *image.root.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    return image


def bare_user(path):
    """Return (who, words before a command, Popen arguments) of a user with no rights."""
    if os.getuid() != 0:
        return f"uid {os.getuid()}", [], {}
    as_user = {"user": UID, "group": UID, "extra_groups": []}
    try:
        subprocess.run(["python", "-c", ""], check=True, env={"PATH": path}, cwd="/", **as_user)
    except (OSError, subprocess.CalledProcessError):
        # This machine's Python may lie in a folder that only root can enter.
        words = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
        return "root without any capability", words, {}
    return f"uid {UID}", [], as_user


def start(image, scratch):
    """Answer one question, start the page, wait for its health check, end it."""
    who, prefix, inside = bare_user(image.path)
    port = free_port()
    if "user" in inside:
        os.chown(scratch, UID, UID)
    keep = {k: os.environ[k] for k in ("LANG", "LD_LIBRARY_PATH") if k in os.environ}
    inside |= {"cwd": image.cwd, "env": {**keep, "TMPDIR": str(scratch), **image.env}}
    inside["env"] |= {"PATH": image.path, "GRADIO_SERVER_PORT": port, "HF_HUB_OFFLINE": "1"}

    picture = next(p for p in sorted(image.cwd.rglob("*")) if p.suffix in (".png", ".jpg"))
    words = ["python", "-m", "tokviz", "answer", str(picture), "--prompt", "is there a dog ?"]
    subprocess.run([*prefix, *words], check=True, **inside)

    app = subprocess.Popen([*prefix, *image.command], **inside)
    try:
        health = [*prefix, *(word.replace(PORT, port) for word in image.health)]
        waited = await_health(app, health, inside)
    finally:
        app.terminate()
        app.wait(20)
    print(f"healthy after {waited:.0f} s as {who}, read-only tree, no Hub")


def await_health(app, health, inside):
    """Return the seconds until the health check passes; raise SystemExit when it never does."""
    began = time.monotonic()
    while time.monotonic() - began < START_SECONDS:
        if app.poll() is not None:
            raise SystemExit(f"the page ended with status {app.returncode}")
        if subprocess.run(health, capture_output=True, **inside).returncode == 0:
            return time.monotonic() - began
        time.sleep(1)
    raise SystemExit(f"not healthy after {START_SECONDS} s")


def main():
    with tempfile.TemporaryDirectory(prefix="tokviz-image-") as folder:
        Path(folder).chmod(0o755)
        image = build(Path(folder))
        scratch = Path(folder) / "tmp"
        scratch.mkdir()
        image.env = {k: v.replace(f"{image.root}/tmp", str(scratch)) for k, v in image.env.items()}
        start(image, scratch)


if __name__ == "__main__":
    main()
