"""The table of settings, as docs/server.md shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """One variable of the environment."""

    name: str
    field: str
    "The field of `Settings` that it sets; empty = somebody else reads it."
    default: str
    "As Markdown."
    meaning: str
    "As Markdown."

    def row(self) -> str:
        """Return its row in the table of docs/server.md."""
        default = f" {self.default}" if self.default else ""
        return f"| `{self.name}` |{default} | {self.meaning} |"


TABLE = (
    Setting(
        "TOKVIZ_MODELS",
        "models",
        "`embedded`",
        "models in the dropdown, Hub ids (`owner/name@commit` pins one) or folders "
        "(shown by their last part), separated by commas; where it is not set and only this "
        "machine reaches the page, all known models, and any Hub id or folder that is written "
        "there",
    ),
    Setting(
        "TOKVIZ_DEVICE",
        "",
        "a GPU when there is one",
        "`cpu`, `cuda`, `cuda:1`, `mps` ...",
    ),
    Setting(
        "TOKVIZ_DTYPE",
        "",
        "float32 on a CPU, 16 bits on a GPU",
        "`float32`, `float16` or `bfloat16`",
    ),
    Setting(
        "TOKVIZ_BITS",
        "",
        "",
        "`4` or `8`: weights rounded to as many bits (needs `accelerate` and `bitsandbytes`)",
    ),
    Setting(
        "TOKVIZ_DEVICE_MAP",
        "",
        "",
        "`auto`, `balanced`, `balanced_low_0` or `sequential`: layers spread over GPUs, "
        "in place of a device",
    ),
    Setting(
        "TOKVIZ_MAX_VISUAL_TOKENS",
        "",
        "3072 on a CPU, no bound on a GPU",
        "visual tokens of one picture at most, by the processor's own settings; `0` = no bound",
    ),
    Setting(
        "TOKVIZ_MAX_NEW_TOKENS",
        "max_new_tokens",
        "`64`",
        "longest answer that a visitor can ask for",
    ),
    Setting(
        "TOKVIZ_QUEUE",
        "queue",
        "`256`",
        "questions that may wait, three quarters of them from one address (a classroom "
        "of 100 that ask at once fits); everybody's first goes before anybody's second",
    ),
    Setting(
        "TOKVIZ_RUNS_MB",
        "runs_mb",
        "`512`",
        "memory for the runs that are remembered, of all visitors together; the oldest go first",
    ),
    Setting(
        "TOKVIZ_HEADS_MB",
        "heads_mb",
        "",
        "memory for the attention of single heads of one answer, a longer one has head means "
        "alone; empty = 80 where only this machine reaches the page, else 2 (64 words of "
        "LLaVA-1.5-7B take 76)",
    ),
    Setting(
        "TOKVIZ_UPLOAD_MB",
        "upload_mb",
        "`20`",
        "largest upload, at most 20",
    ),
    Setting(
        "TOKVIZ_UPLOADS_MB",
        "uploads_mb",
        "`1000`",
        "room for all uploads together, at most half of their disk; the oldest go first",
    ),
    Setting(
        "TOKVIZ_MAX_SECONDS",
        "max_seconds",
        "`300`",
        "a run is stopped after so long; what is there is its answer",
    ),
    Setting(
        "TOKVIZ_REQUESTS_PER_MINUTE",
        "requests_per_minute",
        "`600`",
        "requests that cost work and that one address may send; a classroom often shares one",
    ),
    Setting(
        "TOKVIZ_AUTH",
        "auth",
        "",
        "`name:password`, several separated by commas; empty = everybody may come in",
    ),
    Setting(
        "TOKVIZ_TRUST_PROXY",
        "trust_proxy",
        "",
        "`1` or `yes` (on Spaces the default) = a proxy in front writes the visitor's "
        "address at the end of X-Forwarded-For; else the header is not read",
    ),
    Setting(
        "TOKVIZ_HOSTS",
        "hosts",
        "",
        "further names that the server answers to, such as `lab.example.org` or "
        "`*.example.org`, separated by commas; `*` = all",
    ),
    Setting(
        "TOKVIZ_CONNECTIONS",
        "connections",
        "`500`",
        "connections that one address may hold; all together may hold four times as "
        "many, as far as the system lets the server open files",
    ),
    Setting(
        "TOKVIZ_METRICS",
        "metrics",
        "",
        "a secret word of at least 8 characters = counts at `/metrics` for Prometheus, "
        "to whoever sends it (needs `prometheus-client`); empty = no such page",
    ),
    Setting(
        "TOKVIZ_MCP",
        "mcp",
        "",
        "`1` or `yes` = offer the [endpoints](api.md) as tools of MCP clients (needs "
        "`gradio[mcp]`; not together with `TOKVIZ_AUTH`)",
    ),
    Setting(
        "TOKVIZ_SHARE_HOURS",
        "share_hours",
        "",
        "visitors may make links to runs on their own pictures, which whoever has the link can "
        "open for so many hours, at most 2160; `0` = no such links; where it is not set, 168 if "
        "only this machine reaches the page, else 0",
    ),
    Setting(
        "TOKVIZ_EXAMPLES",
        "examples",
        "",
        "a folder of traces to show as further examples, such as `traces` of a sweep",
    ),
    Setting(
        "TOKVIZ_LOG",
        "json_logs",
        "",
        "`json` = one JSON object per line; never what anybody asked",
    ),
    Setting(
        "GRADIO_SERVER_NAME",
        "server_name",
        "`127.0.0.1`",
        "address to listen on; `0.0.0.0` for everyone",
    ),
    Setting(
        "GRADIO_SERVER_PORT",
        "server_port",
        "`7860`",
        "port",
    ),
    Setting(
        "GRADIO_ROOT_PATH",
        "",
        "",
        "path under which a proxy serves the page",
    ),
    Setting(
        "GRADIO_TEMP_DIR",
        "",
        "the system's folder",
        "where the folder for uploads is made; files there are deleted after an hour, "
        "and the folder when the server stops",
    ),
    Setting(
        "HF_HOME",
        "",
        "`~/.cache/huggingface`",
        "where models from the Hub are kept",
    ),
)
