"""`%models`: what is in memory, and loading, unloading and pinning by hand."""

from __future__ import annotations

from llm_magics.display.plan import plan_table
from llm_magics.display.progress import duration
from llm_magics.display.table import Table, table
from llm_magics.display.units import count, size
from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import DTYPE, Command
from llm_magics.magics.core.options import Option, Word
from llm_magics.magics.core.python_source import python_call
from llm_magics.magics.settings import settings_of
from llm_magics.models.catalog_entries import TASKS

__all__ = ["ModelsMagic", "info_table", "models_table", "served_table"]

_ACTIONS = ("load", "unload", "pin", "unpin", "info", "recommend", "remote", "panel")
_ALONE = {"remote": "the endpoint is %config LLM.endpoint", "panel": "models are chosen in it"}
"""Actions that are no action on one model, and why they take none."""


class ModelsMagic(Command):
    """`%models [load|unload|pin|unpin|info REF]`, `%models recommend TASK`, `%models remote`."""

    name = "models"
    summary = "Show the models in memory; load, unload, pin, describe one."
    words = (
        Word(
            "action",
            "load, unload, pin, unpin, info, recommend TASK, remote for what the endpoint "
            "serves, panel for buttons and bars; without it the table is shown",
            choices=_ACTIONS,
        ),
        Word(
            "ref",
            (
                "hub id, local folder, embedded:NAME, package:NAME, run:NAME, variable; "
                "@REVISION allowed"
            ),
            completes="model",
        ),
    )
    options = (
        DTYPE,
        Option(
            "--engine",
            "what computes it: torch, or ctranslate2 for encoder-decoders that only write",
            "ENGINE",
            choices=("torch", "ctranslate2"),
        ),
        Option("--device", "where to load it: cpu, cuda, cuda:1, mps", "DEVICE"),
        Option("--trust-remote-code", "let the model run its own code, for this load only"),
        Option(
            "--allow-pickle",
            "read pickle weights when there are no safetensors, for this load only",
        ),
        Option("--from", "of recommend: the language of the text", "LANG", completes="language"),
        Option(
            "--to",
            "of recommend translate: the language to translate to",
            "LANG",
            completes="language",
        ),
    )
    examples = (
        "%models",
        "%models load embedded:en-de",
        "%models load Helsinki-NLP/opus-mt-en-de --dry-run",
        "%models pin embedded:en-de",
        "%models unload embedded:en-de",
        "%models recommend translate --to fr",
        "%models remote",
        "%models panel",
    )

    def run(self, call: Call) -> object:
        manager = call.session.models
        action, reference = self._request(call)
        if action is None:
            return models_table(manager.rows())
        if action == "panel":
            from llm_magics.magics.panels.models import open_model_panel  # brings anywidget

            return open_model_panel(call.shell)
        if action == "recommend":
            from llm_magics.api import recommend

            return recommend(reference, **self._recommend_options(call, reference))
        if action == "remote":
            return served_table(manager.served())
        if action == "info":
            return info_table(manager.info(reference))
        if action == "load":
            manager.load(reference, **self._load_options(call))
        elif action == "unload":
            manager.unload(reference)
        else:
            manager.pin(reference, action == "pin")
        return models_table(manager.rows())

    def plan(self, call: Call) -> object:
        action, reference = self._request(call)
        if action != "load":
            return super().plan(call)
        return plan_table(call.session.models.plan(reference, **self._load_options(call)))

    def code(self, call: Call) -> str:
        action, reference = self._request(call)
        imports = "from llm_magics import current_session"
        manager = "current_session().models"
        if action is None:
            return python_call(imports, f"{manager}.rows", assign="rows")
        if action == "panel":
            return python_call("from llm_magics import model_panel", "model_panel", assign="panel")
        if action == "remote":
            return python_call(imports, f"{manager}.served", assign="models")
        if action == "recommend":
            return python_call(
                "from llm_magics import recommend",
                "recommend",
                reference,
                assign="choices",
                **self._recommend_options(call, reference),
            )
        if action == "load":
            return python_call(
                imports, f"{manager}.load", reference, assign="model", **self._load_options(call)
            )
        if action in ("pin", "unpin"):
            return f"{imports}\n\n{manager}.pin({reference!r}, {action == 'pin'})"
        if action == "info":
            return python_call(imports, f"{manager}.info", reference, assign="about")
        return f"{imports}\n\n{manager}.unload({reference!r})"

    @staticmethod
    def _request(call: Call) -> tuple[str | None, str | None]:
        action, reference = call.word(0), call.word(1)
        if action in _ALONE and reference is not None:
            raise call.wrong(f"{action} takes no model: {_ALONE[action]}")
        if action == "recommend" and reference is None:
            raise call.wrong(f"recommend needs a task: {', '.join(TASKS)}")
        if action is not None and action not in _ALONE and reference is None:
            raise call.wrong(f"{action} needs a model: %models {action} REF")
        languages = [flag for flag in ("from", "to") if call[flag]]
        if languages and action != "recommend":
            raise call.wrong(
                f"--{languages[0]} goes with recommend only: %models recommend translate --to fr"
            )
        if action == "recommend":
            return action, reference
        return action, reference and call.reference(reference)

    @staticmethod
    def _recommend_options(call: Call, task: str) -> dict[str, object]:
        given = {
            "source": call["from"],
            "target": call["to"],
            "default": getattr(settings_of(call.shell), f"{task}_model", None),
        }
        return {name: value for name, value in given.items() if value}

    @staticmethod
    def _load_options(call: Call) -> dict[str, object]:
        given = {
            "dtype": call["dtype"],
            "engine": call["engine"],
            "device": call["device"],
            "trust_remote_code": call["trust-remote-code"],
            "allow_pickle": call["allow-pickle"],
        }
        return {name: value for name, value in given.items() if value}


def models_table(rows: list) -> Table:
    """The manager's rows as a table, the sum of memory below it."""
    cells = [
        [
            row.name,
            row.task,
            row.device,
            row.format,
            count(row.parameters),
            size(row.bytes),
            row.uses,
            f"{duration(row.last_used_s)} ago" if row.last_used_s is not None else "never",
            row.state,
        ]
        for row in rows
    ]
    caption = (
        f"{len(rows)} loaded, {size(sum(row.bytes for row in rows))}"
        if rows
        else ("no model is loaded; one is loaded when a magic needs it, or by %models load REF")
    )
    heads = [
        "model",
        "task",
        "device",
        "dtype",
        "parameters",
        "memory",
        "uses",
        "last used",
        "state",
    ]
    return table(heads, cells, caption=caption, align="llllrrrrl")


def served_table(served: list) -> Table:
    """The models of an endpoint, as they would be typed."""
    rows = [
        [
            f"openai:{model.name}",
            model.owner,
            f"{model.context_tokens:,}" if model.context_tokens else "",
        ]
        for model in served
    ]
    caption = (
        f"{len(rows)} served; use one with --model" if rows else "the endpoint serves no model"
    )
    return table(["model", "owner", "context tokens"], rows, caption=caption, align="llr")


def info_table(about: dict[str, object]) -> Table:
    """What is known about one model, a line each; what is not known is left out."""
    rows = [
        [key.removesuffix("_bytes").removesuffix("_s").replace("_", " "), _shown(key, value)]
        for key, value in about.items()
        if key != "note" and value not in (None, "", (), [])
    ]
    return table(
        ["", "value"], rows, caption=str(about.get("note") or "")
    )  # a cell of a terminal's table is cut


def _shown(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key.endswith("bytes"):
        return size(value)
    if key == "parameters":
        return count(value)
    if key == "last_used_s":
        return f"{duration(value)} ago"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple, set)) else str(value)
