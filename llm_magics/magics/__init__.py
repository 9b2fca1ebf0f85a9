"""The magics: each parses its line, makes one call into the session and returns the result.

`MAGICS` is the whole table. Registering it imports none of the modules it names; `find_command`
imports one when its magic is first used, asked for help, or completed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_magics.magics.core.command import Command

__all__ = ["MAGICS", "find_command"]

MAGICS = {
    "ask": "ask:AskMagic",
    "attention": "attention:AttentionMagic",
    "generate": "generate:GenerateMagic",
    "llm": "llm:LLMMagic",
    "models": "models:ModelsMagic",
    "predict": "predict:PredictMagic",
    "runs": "training.runs_magic:RunsMagic",
    "summarize": "summarize:SummarizeMagic",
    "train": "training.train:TrainMagic",
    "translate": "translate:TranslateMagic",
    "tune": "training.tune:TuneMagic",
    "understand": "understand:UnderstandMagic",
}


def find_command(name: str) -> Command:
    """The command behind `%name`; `KeyError` when there is none."""
    module, _, class_name = MAGICS[name].partition(":")
    return getattr(import_module(f"llm_magics.magics.{module}"), class_name)()
