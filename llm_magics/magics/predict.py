"""`%%predict`: the next word, and how expected every word of a text was, to go on with by a
click."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import MODEL, PRECISION
from llm_magics.magics.core.options import Option, whole
from llm_magics.magics.rows import EACH
from llm_magics.magics.task import IN, TaskCommand

if TYPE_CHECKING:
    pass

__all__ = ["PredictMagic"]


class PredictMagic(TaskCommand):
    """`%predict [options] TEXT`, or the text below `%%predict`."""

    name = "predict"
    summary = "Show what a language model expects next, and at every place of a text."
    details = (
        "The text is shaded where the model was surprised. A click on a token shows what the "
        "model expected there, a click on a candidate puts it there or goes on with it, and the "
        "text is read again; a masked model such as BERT fills in the masks of the text. The "
        "view has .text and .result."
    )
    grows = False
    python_name = "next_word"
    python_result = "view"
    text = "TEXT"
    cell = "TEXT"
    options = (
        Option(
            "--count",
            "how many candidates for each place",
            "N",
            whole(1, 100),
            default=10,
            argument="count",
        ),
        MODEL,
        PRECISION,
        IN,
        EACH,
    )
    examples = (
        "%predict The capital of France is",
        "%predict --model bert-base-uncased The [MASK] sleeps on the sofa.",
        "%%predict --model run:shakespeare\nTo be, or not to be",
    )

    def present(self, call: Call, result: Any, arguments: dict[str, Any]) -> Any:
        """The result as a widget; a panel shows what its own form asks for."""
        if getattr(call, "screen", None) is not None:
            return result
        from llm_magics.api import next_word_view, predict

        return next_word_view(result, lambda text: predict(text, **arguments))
