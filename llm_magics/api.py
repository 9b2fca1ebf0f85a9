"""The public functions: what `from llm_magics import …` gives, with their real parameters.

A task is defined, and documented, in its room; here it gets the model manager and the runs of the
current session wherever none are given. Importing this module loads no torch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm_magics.session import current_session
from llm_magics.signatures import public
from llm_magics.tasks import (
    compare as _compare,
)
from llm_magics.tasks import (
    compare_each as _compare_each,
)
from llm_magics.tasks import (
    predict as _predict,
)
from llm_magics.tasks import (
    recommend as _recommend,
)
from llm_magics.tasks.ask import task as _ask
from llm_magics.tasks.generate import task as _generate
from llm_magics.tasks.summarize import task as _summarize
from llm_magics.tasks.translate import batch as _translate_each
from llm_magics.tasks.translate import task as _translate
from llm_magics.tasks.understand import task as _understand
from llm_magics.training import api as _training

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_magics.display.page import FramedPage
    from llm_magics.models.manager.entry import LoadPlan
    from llm_magics.models.manager.manager import ModelManager
    from llm_magics.models.read.next_tokens import Candidate
    from llm_magics.tasks.predict import NextWord
    from llm_magics.widgets.attention.attention_explorer import AttentionExplorer
    from llm_magics.widgets.next_word import NextWord as NextWordView
    from llm_magics.widgets.next_word import Reading

__all__ = [
    "ask",
    "ask_each",
    "bertviz",
    "compare_each",
    "compare_models",
    "explore_attention",
    "find_lr",
    "generate",
    "generate_each",
    "next_word",
    "plan",
    "predict",
    "predict_each",
    "recommend",
    "summarize",
    "summarize_each",
    "train",
    "translate",
    "translate_each",
    "tune",
    "understand",
    "understand_each",
]

_MANAGER = {"manager": lambda: current_session().models}
_RUNS = {"runs": lambda: current_session().runs}
_FOR_ONE = ("on_progress",)
"""What a function for many texts does not take."""

translate = public(_translate.translate, defaults=_MANAGER)
translate_each = public(_translate_each.translate_each, defaults=_MANAGER)
summarize = public(_summarize.summarize, defaults=_MANAGER)
summarize_each = public(
    _summarize.summarize_each, _summarize.summarize, defaults=_MANAGER, without=_FOR_ONE
)
ask = public(_ask.ask, defaults=_MANAGER)
ask_each = public(_ask.ask_each, _ask.ask, defaults=_MANAGER, without=_FOR_ONE)
understand = public(_understand.understand, defaults=_MANAGER)
understand_each = public(
    _understand.understand_each, _understand.understand, defaults=_MANAGER, without=_FOR_ONE
)
generate = public(_generate.generate, defaults=_MANAGER)
generate_each = public(
    _generate.generate_each, _generate.generate, defaults=_MANAGER, without=_FOR_ONE
)
predict = public(_predict.predict, defaults=_MANAGER)
predict_each = public(_predict.predict_each, _predict.predict, defaults=_MANAGER, without=_FOR_ONE)
_COMPARED = (_translate.translate, _summarize.summarize)
compare_models = public(_compare.compare_models, *_COMPARED, defaults=_MANAGER)
compare_each = public(_compare_each.compare_each, *_COMPARED, defaults=_MANAGER, without=_FOR_ONE)
plan_understanding = public(_understand.plan_understanding, defaults=_MANAGER)
recommend = public(_recommend.recommendations, defaults=_MANAGER, name="recommend")
train = public(_training.train, defaults=_RUNS)
find_lr = public(_training.find_lr, defaults=_RUNS)
tune = public(_training.tune, defaults=_RUNS)


@public
def explore_attention(
    model: Any,
    text: str,
    second: str | None = None,
    *,
    manager: ModelManager | None = None,
    against: Any = None,
    against_text: str | None = None,
    write: int = 0,
    checkpoints: bool = False,
) -> AttentionExplorer:
    """The attention of `model` on `text` as a widget; what it shows is readable as `.map()` and
    `.selection`.

    `model` is a reference. `second` is what a translation model is taken to have written (None: its
    own output), or the second text of a pair. `against`: another model on the same text,
    `against_text`: another text for the same model, to compare with. `write`: let the model go on
    for so many tokens and look at those, too. `checkpoints`: compare the kept steps of the run
    `model`.

    Raises InputError, AttentionError where attention cannot be captured, and what loading a model
    raises.

        view = explore_attention("package:minilm", "The cat sat on the mat.")
        view.map()  # queries × keys of the head that is looked at
    """
    from llm_magics.tasks import attention
    from llm_magics.widgets.attention.attention_explorer import AttentionExplorer
    from llm_magics.widgets.attention.panel import Panel, thumb_side

    if checkpoints:
        from llm_magics.training.runs.checkpoints_as_models import models_of_steps

        run = current_session().runs.find(str(model).removeprefix("run:"))
        found = attention.explore_steps(text, second, models_of_steps(run))
    else:
        found = attention.explore_attention(
            text,
            second,
            manager=manager or current_session().models,
            model=model,
            against=against,
            against_text=against_text,
            write=write,
        )
    for source in found.sources:
        source.panels = [Panel(**facts) for facts in source.panel_facts(thumb_side)]
    return AttentionExplorer(
        found.sources, title=found.title, predict=found.predict, step_names=found.step_names or None
    )


@public
def bertviz(
    model: Any,
    text: str,
    second: str | None = None,
    *,
    manager: ModelManager | None = None,
    view: str = "head",
    kind: str | None = None,
    layer: int = 0,
    head: int = 0,
    anyway: bool = False,
) -> FramedPage:
    """The attention of `model` on `text` in BertViz's own view "head", "model" or "neuron", without
    a CDN where the scripts it needs are installed.

    `second` as in `explore_attention`; `kind`, `layer` and `head` are what is shown first. Raises
    InputError for more than 128 tokens, which BertViz draws as one line of SVG a weight, unless
    `anyway`.
    """
    from llm_magics.tasks import bertviz as work

    return work.bertviz(
        text,
        second,
        manager=manager or current_session().models,
        model=model,
        view=view,
        kind=kind,
        layer=layer,
        head=head,
        anyway=anyway,
    )


@public
def next_word(
    text: str,
    *,
    manager: ModelManager | None = None,
    count: int = 10,
    model: Any = None,
    default: Any = None,
    load_options: dict[str, Any] | None = None,
) -> NextWordView:
    """What a language model expects in `text` and after it, as a widget in which a click goes on
    with another word.

    Arguments and errors as in `predict`, which gives the same as plain values; `view.result` is
    what it returns for `view.text`.

        view = next_word("The capital of France is", model="gpt2")
        view.result.next[0].text
    """

    def again(text: str) -> NextWord:
        return predict(
            text,
            manager=manager,
            count=count,
            model=model,
            default=default,
            load_options=load_options,
        )

    return next_word_view(again(text), again)


def next_word_view(result: NextWord, again: Callable[[str], NextWord]) -> NextWordView:
    """The widget that shows what `predict` returned, and asks `again` for a text that went on."""
    from llm_magics.widgets.next_word import NextWord as Widget

    return Widget(_reading(result), lambda text: _reading(again(text)))


def _reading(result: NextWord) -> Reading:
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


def _plain(candidates: Sequence[Candidate]) -> list[tuple[str, float, bool]]:
    return [(one.text, one.probability, one.is_text) for one in candidates]


@public
def plan(
    task: str,
    /,
    *,
    model: Any = None,
    default: Any = None,
    text: str = "",
    source: str = "auto",
    target: str | None = None,
    language: str = "auto",
    recipe: str | dict[str, Any] | None = None,
    name: str | None = None,
    overrides: dict[str, Any] | None = None,
    device: str | None = None,
    load_options: dict[str, Any] | None = None,
    **options: Any,
) -> LoadPlan:
    """What the task would load, without loading it: device, bytes needed and free, download size,
    cached or not.

    `task` is "translate", "summarize", "ask", "generate", "predict", "attention" or "train"; other
    arguments as for the task itself, those that make no difference to the plan are left aside.
    Raises what choosing a model raises.

        plan("translate", text="Guten Morgen", target="en").bytes_needed
    """
    session = current_session()
    if task == "train":
        return _training.training_plan(
            recipe,
            runs=session.runs,
            model=model,
            name=name,
            overrides=overrides,
            device=device,
            source=None if source == "auto" else source,
            target=target,
            **{key: value for key, value in options.items() if key in _TRAINED},
        )
    if task == "attention":
        return session.models.plan(model)
    from llm_magics.tasks.model_choice import choose_for

    reference, why = choose_for(
        task,
        text,
        model=model,
        source=source if task == "translate" else language,
        target=target,
        default=default,
    )
    planned = session.models.plan(reference, **(load_options or {}))
    return replace(planned, note="; ".join(part for part in (why, planned.note) if part))


_TRAINED = ("data", "validation", "test", "task", "fields", "loss", "resume")
"""What `plan("train")` understands beside a model and languages."""
