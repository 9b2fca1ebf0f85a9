"""Open text: how a text goes on, or what a chat model answers; one candidate or several.

How the next token is chosen, where nothing is asked for: as the model's authors set it, if they let
it draw. Else a causal model draws at temperature 0.8 from the likeliest tokens that make up 0.95,
as most local chat programs do: its most probable text goes in circles (Holtzman et al. 2020). An
encoder-decoder model, which answers requests, takes the most probable tokens. Temperature 0 always
does. The seed is drawn where none is given, and the result says which it was.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_magics.errors import InputError, WrongTask, type_of
from llm_magics.models.backends.base import EXTRACTIVE
from llm_magics.models.generate.sample import continue_texts
from llm_magics.models.generate.sampling import SamplingParams
from llm_magics.models.generate.types import INTERRUPTED, Continuation, SamplingOptions
from llm_magics.rows.rows import RowError, Rows
from llm_magics.rows.run import Keep, readable_rows, settings_of, work_through
from llm_magics.tasks.choose import Opened, candidates, open_model
from llm_magics.tasks.generate.result import Generated, GeneratedText, GenerationProgress
from llm_magics.tasks.provenance import account
from llm_magics.text.clean import clean_text

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.generate.types import Source
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["DEFAULT_TOKENS", "MOST_CANDIDATES", "MOST_SEED", "generate", "generate_each"]

DEFAULT_TOKENS, MOST_TOKENS = 256, 1_000_000
MOST_CANDIDATES = 64
MOST_SEED = 2**31 - 1
_USUAL = SamplingParams(temperature=0.8, top_p=0.95)
_WINDOW_ROWS = 16
"""Rows of `generate_each` that are written together."""

Stop = Callable[[], bool] | None


@dataclass(frozen=True)
class _Asked:
    """What the texts are to be like; checked when it is made."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    max_tokens: int = DEFAULT_TOKENS
    stop_strings: tuple[str, ...] = ()
    n: int = 1
    system: str | None = None
    reply_to: Generated | None = None
    raw: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (
            ("seed", 0, MOST_SEED),
            ("max_tokens", 1, MOST_TOKENS),
            ("n", 1, MOST_CANDIDATES),
        ):
            value = getattr(self, name)
            if value is None and name == "seed":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise InputError(
                    f"{name} must be a whole number from {low} to {high:,}, not {value!r}"
                )
        if not all(isinstance(one, str) and one for one in self.stop_strings):
            raise InputError("a stop string must be a text of one character or more")
        if self.system is not None and self.raw:
            raise InputError("a system message needs the chat format; leave system or raw out")
        if self.reply_to is not None and not isinstance(self.reply_to, Generated):
            raise InputError(f"reply_to must be a result of generate, not {type_of(self.reply_to)}")
        if self.n > 1 and self.temperature == 0:
            raise InputError(
                f"{self.n} candidates of temperature 0 would all be the same; give a temperature "
                "above 0"
            )
        SamplingParams(**self._given())  # which says what is wrong with them

    def _given(self) -> dict[str, float]:
        return {
            name: value
            for name in ("temperature", "top_p", "top_k")
            if (value := getattr(self, name)) is not None
        }

    def drawing(self, model: LoadedModel) -> SamplingParams:
        """How `model` chooses tokens; see the module's docstring."""
        given = self._given()
        if given.get("temperature") == 0:
            return SamplingParams()
        own = _of_authors(model)
        if own is None and given:
            own = SamplingParams(temperature=1.0)
        elif own is None:
            own = _USUAL if model.kind == "causal" or self.n > 1 else SamplingParams()
        return replace(own, **given)


def _of_authors(model: LoadedModel) -> SamplingParams | None:
    """What a model's authors set, None where they left it at the most probable token."""
    config = model.generation_config
    if config is None or not config.do_sample:
        return None
    temperature, top_p, top_k = config.temperature, config.top_p, config.top_k
    return SamplingParams(
        temperature=1.0 if temperature is None else temperature,
        top_p=top_p or 1.0,
        top_k=top_k or 0,
    )


def generate(
    text: str,
    *,
    manager: ModelManager | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    seed: int | None = None,
    max_tokens: int = DEFAULT_TOKENS,
    max_new_tokens: int | None = None,
    stop_strings: str | Sequence[str] = (),
    n: int = 1,
    system: str | None = None,
    reply_to: Generated | None = None,
    raw: bool = False,
    model: object = None,
    default: object = None,
    load_options: dict[str, object] | None = None,
    on_progress: Callable[[GenerationProgress], None] | None = None,
    stop: Stop | str | Sequence[str] = None,
) -> Generated:
    """What a model writes after `text`: an answer if it has a chat format, else the text's
    continuation.

    `temperature` 0 takes the most probable tokens; above 0 tokens are drawn, from the `top_k`
    likeliest, of these from the likeliest that make up `top_p`. What is not given is as the model's
    authors set it, and the module's docstring says what else. The same `seed` gives the same text,
    and candidate c of `n` is the same whatever `n` is. It ends after `max_tokens`, or right before
    the first of `stop_strings`. `system` is the system message of a chat; `reply_to` an earlier
    result whose conversation, or text, goes on; `raw`: continue the text itself, also with a chat
    model. Once `stop()` is true, what there is is returned. `max_new_tokens` and a `stop` that is
    text, or texts, are other libraries' names for `max_tokens` and `stop_strings`.

    Raises EmptyInput, TooLong, InputError, WrongTask for models that write no open text, or a
    ModelError.
    """
    text = clean_text(text)
    stop, strings = _stops(stop, stop_strings)
    asked = _Asked(
        temperature,
        top_p,
        top_k,
        seed,
        max_tokens if max_new_tokens is None else max_new_tokens,
        strings,
        n,
        system,
        reply_to,
        raw,
    )
    with open_model(
        candidates("generate", model=model, default=default), manager, load_options
    ) as opened:
        writing = _Writing(opened, asked)
        return writing.results([text], [writing.seed], stop=stop, on_progress=on_progress)[0]


def generate_each(
    rows: Iterable[str] | str | Path,
    *,
    manager: ModelManager | None = None,
    column: str | None = None,
    out_file: str | Path | None = None,
    resume: bool = False,
    model: object = None,
    default: object = None,
    load_options: dict[str, object] | None = None,
    on_row: Callable[[int, Generated | RowError], None] | None = None,
    stop: Stop | str | Sequence[str] = None,
    **options: Any,
) -> Rows:
    """One Generated, or one RowError with the reason, for each row, in order; `options` as in
    `generate`.

    Rows are written several at a time. Row i has the seed `seed` + i, which its provenance says.
    Rows that a stop cut off are left out. For `rows`, `column`, `out_file` and `resume` see
    `llm_magics.rows.run.work_through`.
    """
    stop, options["stop_strings"] = _stops(stop, options.get("stop_strings", ()))
    limit = options.pop("max_new_tokens", None)
    if limit is not None:
        options["max_tokens"] = limit
    asked = _Asked(**options)
    settings = settings_of("generate", {**options, "model": model or default})
    with contextlib.ExitStack() as stack:
        held: list[_Writing] = []

        def prepare(_: dict[int, object]) -> None:
            if not held:
                choices = candidates("generate", model=model, default=default)
                held.append(
                    _Writing(stack.enter_context(open_model(choices, manager, load_options)), asked)
                )

        def work(window: dict[int, object], keep: Keep) -> None:
            texts = readable_rows(window, keep)
            seeds = [(held[0].seed + i) % (MOST_SEED + 1) for i in texts]
            if not texts:
                return
            for i, result in zip(
                texts, held[0].results(list(texts.values()), seeds, stop=stop), strict=True
            ):
                if not result.interrupted:
                    keep(i, result)

        return work_through(
            rows,
            work,
            prepare=prepare,
            window_rows=_WINDOW_ROWS,
            column=column,
            on_row=on_row,
            stop=stop,
            out_file=out_file,
            resume=resume,
            settings=settings,
        )


class _Writing:
    """One model, asked for texts of one kind."""

    def __init__(self, opened: Opened, asked: _Asked) -> None:
        if opened.loaded.backend.kind == EXTRACTIVE:
            raise WrongTask(
                f"{opened.reference} has no weights and writes nothing; choose a language model"
            )
        self.opened, self.model, self.asked = opened, opened.loaded, asked
        self.seed = secrets.randbelow(MOST_SEED + 1) if asked.seed is None else asked.seed
        self.kind = (
            "chat"
            if self.model.is_chat and not asked.raw
            else ("answer" if self.model.kind == "seq2seq" else "continuation")
        )
        if asked.system is not None and self.kind != "chat":
            raise WrongTask(
                f"{opened.reference} has no chat format and takes no system message; leave it "
                "out, or choose a chat model"
            )
        if asked.reply_to is not None and asked.reply_to.kind != self.kind:
            raise InputError(
                f"reply_to is the result of a {asked.reply_to.kind}, and {opened.reference} "
                "would write "
                f"{'an answer in a chat' if self.kind == 'chat' else f'a plain {self.kind}'}; "
                "use the same model"
            )

    def results(
        self,
        texts: list[str],
        seeds: list[int],
        *,
        stop: Stop = None,
        on_progress: Callable[[GenerationProgress], None] | None = None,
    ) -> list[Generated]:
        """A result for each text; `on_progress` is told of the first one."""
        started = time.perf_counter()
        asked, drawing = self.asked, self.asked.drawing(self.model)
        wanted = SamplingOptions(drawing, asked.max_tokens, asked.stop_strings, asked.n)
        drafts = [""] * asked.n

        def on_text(source: int, candidate: int, draft: str) -> None:
            drafts[candidate] = self._trimmed(draft)
            on_progress(
                GenerationProgress(tuple(drafts), texts[source], self.kind == "continuation")
            )

        written = continue_texts(
            self.model,
            [self._source(text) for text in texts],
            wanted,
            seeds=seeds,
            stop=stop,
            on_text=on_text if on_progress is not None else None,
        )
        seconds = time.perf_counter() - started
        total = sum(one.n_tokens for found in written for one in found)
        return [
            self._result(text, found, drawing, seed, seconds, total)
            for text, found, seed in zip(texts, written, seeds, strict=True)
        ]

    def _messages(self, text: str) -> list[dict[str, str]]:
        before = list(self.asked.reply_to.messages) if self.asked.reply_to is not None else []
        if self.asked.system is not None:
            before = [
                {"role": "system", "content": self.asked.system},
                *(message for message in before if message["role"] != "system"),
            ]
        return [*before, {"role": "user", "content": text}]

    def _before(self) -> str:
        reply_to = self.asked.reply_to
        return reply_to.continued() if reply_to is not None and self.kind == "continuation" else ""

    def _source(self, text: str) -> Source:
        return self._messages(text) if self.kind == "chat" else self._before() + text

    def _trimmed(self, text: str) -> str:
        return text if self.kind == "continuation" else text.strip()

    def _result(
        self,
        text: str,
        found: list[Continuation],
        drawing: SamplingParams,
        seed: int,
        seconds: float,
        total: int,
    ) -> Generated:
        written = tuple(
            GeneratedText(
                text=self._trimmed(one.text),
                finish=one.finish,
                tokens=one.n_tokens,
                stopped_by=one.stopped_by,
            )
            for one in found
        )
        tokens = sum(one.tokens for one in written)
        given = {
            "temperature": drawing.temperature,
            "top_p": drawing.top_p,
            "top_k": drawing.top_k,
            "max_tokens": self.asked.max_tokens,
            "stop": list(self.asked.stop_strings),
            "n": self.asked.n,
        }
        provenance = account(self.opened, None, tokens, given)
        provenance = replace(
            provenance,
            seed=None if drawing.is_greedy else seed,
            seconds=seconds * tokens / max(1, total),
        )
        messages = (
            [*self._messages(text), {"role": "assistant", "content": written[0].text}]
            if self.kind == "chat"
            else []
        )
        notes = [*self.opened.notes]
        if self.kind == "continuation" and not self.model.is_chat:
            notes.append("this model goes on with a text and follows no instructions")
        return Generated(
            text=written[0].text,
            candidates=written,
            prompt=text,
            kind=self.kind,
            messages=tuple(messages),
            before=self._before(),
            provenance=provenance,
            notes=tuple(notes),
            interrupted=any(one.finish == INTERRUPTED for one in written),
        )


def _stops(
    stop: Stop | str | Sequence[str], strings: str | Sequence[str]
) -> tuple[Stop, tuple[str, ...]]:
    """(what is asked whether to stop, the strings to stop at); `stop` may be either."""
    if stop is None or callable(stop):
        return stop, _strings(strings)
    if not isinstance(stop, str | list | tuple):
        raise InputError(
            f"stop must be a text, several texts or a function without arguments, "
            f"not {type_of(stop)}"
        )
    return None, (*_strings(strings), *_strings(stop))


def _strings(given: object) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)  # type: ignore[arg-type]  # _Asked says what is no text
