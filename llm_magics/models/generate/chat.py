"""Chats as the text a chat model was trained on, by the model's own template, rendered in a child
process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llm_magics.errors import BrokenModel, printable

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["render_chats"]

TIMEOUT_S = 20.0
MAX_CPU_S = 3


def render_chats(model: LoadedModel, chats: Sequence[Sequence[Mapping[str, str]]]) -> list[str]:
    """The prompt of every chat, special tokens written out, ending where the assistant speaks.

    The template is a program that came with the model: it runs sandboxed, in a process with limits
    on time and memory. Raises BrokenModel when it fails or does not come to an end.
    """
    with model.using_tokenizer() as tokenizer:
        template = tokenizer.get_chat_template()
        names = {
            name: str(token)
            for name, token in tokenizer.special_tokens_map.items()
            if isinstance(token, str)
        }
    clean = [
        [{key: printable(text) for key, text in message.items()} for message in chat]
        for chat in chats
    ]
    request = json.dumps({"template": template, "chats": clean, "names": names})
    program = Path(__file__).with_name("chat_render.py")
    try:
        # -I: no user site, no PYTHON* variables, nothing from the current folder
        done = subprocess.run(
            [sys.executable, "-I", str(program), str(MAX_CPU_S)],
            input=request.encode(),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        answer = (
            json.loads(done.stdout)
            if done.returncode == 0
            else {"error": "it ran out of time or memory"}
        )
    except subprocess.TimeoutExpired:
        answer = {"error": f"it did not end within {TIMEOUT_S:g} s"}
    except ValueError:
        answer = {"error": "it gave no answer"}
    if "error" in answer:
        raise BrokenModel(f"the chat template of {model.reference} failed: {answer['error']}")
    return answer["texts"]
