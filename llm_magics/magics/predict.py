"""`%%predict`: the next word, and how expected every word of a text was, to go on with by a
click."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import MODEL, PRECISION
from llm_magics.magics.core.options import Option, whole
from llm_magics.magics.rows import EACH
from llm_magics.magics.task import IN, TaskCommand

if TYPE_CHECKING:
    from llm_magics.display.result import Result
    from llm_magics.widgets.next_word import NextWord, Reading

__all__ = ["PredictMagic", "next_word"]


class PredictMagic(TaskCommand):
    """`%predict [options] TEXT`, or the text below `%%predict`."""

    name = "predict"
    summary = "Show what a language model expects next, and at every place of a text."
    details = (
        "The text is shaded where the model was surprised. A click on a token shows what the "
        "model expected there, a "
        "click on a candidate puts it there or goes on with it, and the text is read again; a "
        "masked model such as BERT "
        "fills in the masks of the text. The view has .text and .result."
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
        return _view(result, lambda text: call.session.predict(text, **arguments))


def next_word(text: str, **options: Any) -> NextWord:
    """What a language model expects in `text` and after it, as a widget in which a click goes on
    with another word.

    `options` as in `predict`, which gives the same as plain values; `view.result` is what it
    returns for `view.text`.
    """
    from llm_magics.session import current_session

    def predict(text: str) -> Result:
        return current_session().predict(text, **options)

    return _view(predict(text), predict)


def _view(result: Result, predict: Callable[[str], Result]) -> NextWord:
    from llm_magics.widgets.next_word import NextWord

    return NextWord(_reading(result), lambda text: _reading(predict(text)))


def _reading(result: Any) -> Reading:
    """What `predict` returns, in the plain values that the widget takes."""
    from llm_magics.widgets.next_word import Place, Reading

    places = [
        Place(
            token.start,
            token.end,
            token.probability,
            token.surprisal_bits,
            token.rank,
            _plain(token.candidates),
        )
        for token in result.tokens
    ]
    if not result.is_masked:
        end = len(result.source_text)
        places.append(Place(end, end, None, None, None, _plain(result.next)))
    about = " · ".join([result.provenance.line(), *result.notes])
    return Reading(
        result.source_text,
        places,
        result.masks,
        result.is_masked,
        " · ".join(result.figures()),
        about,
        result,
    )


def _plain(candidates: Any) -> list[tuple[str, float, bool]]:
    return [(one.text, one.probability, one.is_text) for one in candidates]
