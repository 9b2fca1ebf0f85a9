"""`%train`: a model and data, or a recipe, in; a model out, with a curve that moves and a cell that
can be stopped."""

from __future__ import annotations

from typing import Any

from llm_magics.display.html import el
from llm_magics.display.plan import plan_table
from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import Command
from llm_magics.magics.core.live_output import Live
from llm_magics.magics.core.options import Option, Word
from llm_magics.magics.core.python_source import python_call
from llm_magics.magics.core.waiting import aside, follow, wait
from llm_magics.magics.training.request import arguments_of, choices_of, typed
from llm_magics.magics.training.runs import attach, listing
from llm_magics.training.recipe.recipe import TASKS

__all__ = ["TrainMagic"]

_METHODS = {"list": "all", "attach": "find", "stop": "stop"}


class TrainMagic(Command):
    """`%train MODEL --data DATA`, `%train --recipe NAME`, or `%%train` with a recipe in TOML below
    it."""

    name = "train"
    summary = (
        "Train a model from scratch, fine-tune one, or follow a recipe; the result is kept as "
        "run:NAME."
    )
    details = (
        "MODEL is an architecture (transformer, lstm, gru, rnn, softmax-regression), a model to "
        "fine-tune, run:NAME to begin a new run with that run's model, or a torch module of the "
        "notebook. Or a recipe: shipped (--list), a TOML file, or the body of the cell. "
        "Interrupting the cell, or the stop button, ends the training after the current step; "
        "model and checkpoint are kept. A finished run goes on when it is given a later end, "
        "counted from the beginning: --resume NAME --epochs 30."
    )
    cell = "A recipe in TOML"
    words = (
        Word(
            "model",
            "an architecture, a model reference, or a variable that holds a torch module",
            completes="trainable",
        ),
    )
    options = (
        Option(
            "--data",
            "training rows: a .jsonl, .csv, .tsv, .parquet or .txt file, hub:NAME, or a variable "
            "(data frame, dataset, list)",
            "DATA",
            completes="variable",
        ),
        Option(
            "--validation",
            "held-out rows to watch; without them some training rows are held out",
            "DATA",
            completes="variable",
        ),
        Option("--test", "held-out rows for the figures at the end", "DATA", completes="variable"),
        Option(
            "--task",
            "what is learnt; --from and --to say translate",
            "TASK",
            choices=tuple(task for task in TASKS if task != "custom"),
        ),
        Option("--from", "language of the source texts", "LANG", completes="language"),
        Option("--to", "language of the target texts", "LANG", completes="language"),
        Option("--fields", "which column is what: text=review,label=stars", "ROLE=COLUMN,…"),
        Option(
            "--loss",
            "for a module: cross_entropy, mse, l1, bce, nll, or a variable that holds a function "
            "of (output, target)",
            "LOSS",
            completes="variable",
        ),
        Option(
            "--recipe", "name of a shipped recipe, or a TOML file", "RECIPE", completes="recipe"
        ),
        Option("--name", "name of the run; the model is then run:NAME", "NAME"),
        Option(
            "--replace",
            "keep an existing run of this name under NAME-1, NAME-2, … and take the name",
        ),
        Option("--epochs", "passes over the training data", "N", typed("--epochs")),
        Option(
            "--optimizer",
            "sgd, momentum and adam are written from their formulas",
            "NAME",
            choices=choices_of("--optimizer"),
        ),
        Option("--lr", "learning rate at its peak", "RATE", typed("--lr")),
        Option("--schedule", "how the rate changes", "KIND", choices=choices_of("--schedule")),
        Option(
            "--early-stop",
            "end after N evaluations without a lower validation loss",
            "N",
            typed("--early-stop"),
        ),
        Option("--metric", "what is measured on held-out rows", "NAME"),
        Option("--batch", "tokens in a batch", "TOKENS", typed("--batch")),
        Option(
            "--tokenizer",
            "kind of vocabulary that is trained",
            "KIND",
            choices=choices_of("--tokenizer"),
        ),
        Option("--vocab", "entries of the vocabulary", "N", typed("--vocab")),
        Option(
            "--augment",
            (
                "drop=0.1, swap=0.1 (shares of source tokens), join=0.1 (of rows), "
                "back_translate=MODEL"
            ),
            "KIND=VALUE,…",
        ),
        Option(
            "--lora",
            "fine-tune low-rank updates of this rank in place of all weights",
            "RANK",
            typed("--lora"),
        ),
        Option("--skip-bad-rows", "leave rows that cannot be read out, and count them"),
        Option(
            "--set", "any setting of a recipe: model.d_model=256,batch.accumulate=2", "KEY=VALUE,…"
        ),
        Option("--seed", "seed of weights, data order and dropout", "N", typed("--seed")),
        Option("--device", "cpu, cuda, cuda:1, mps; without it the best there is", "DEVICE"),
        Option(
            "--find-lr",
            "train nothing: try growing learning rates on copies, and show which one to take",
        ),
        Option(
            "--resume",
            "go on with a run that was stopped, or to a later end (--epochs, --early-stop)",
            "NAME",
            completes="run",
        ),
        Option("--background", "return at once; the curve moves on while other cells run"),
        Option("--list", "list the shipped recipes and the runs on this machine"),
        Option("--attach", "show a run, also one of another kernel", "NAME", completes="run"),
        Option(
            "--stop",
            "stop a run that trains in the background of this kernel",
            "NAME",
            completes="run",
        ),
    )
    examples = (
        (
            "%train transformer --data pairs.csv --from en --to de --epochs 10 --optimizer adam "
            "--lr 5e-4 --early-stop 5"
        ),
        "%train lstm --data reviews --task classify --fields text=review,label=stars",
        "%train my_module --data my_dataset --loss cross_entropy --epochs 3",
        "%train --recipe number-words --name numbers",
        "%train --resume numbers --epochs 20",
        "%train run:numbers --data more.csv --name more-numbers",
        "%train --attach numbers",
        "%%translate --model run:numbers\nforty-two",
    )

    def run(self, call: Call) -> object:
        action = self._action(call)
        if action == "list":
            return listing(call)
        if action == "attach":
            return attach(call)
        if action == "stop":
            return call.session.runs.stop(call["stop"])
        if call["find-lr"]:
            return _find_lr(call, **arguments_of(call))
        return _train(call, **arguments_of(call))

    def plan(self, call: Call) -> object:
        if self._action(call):
            return super().plan(call)

        from llm_magics import api

        return plan_table(api.plan("train", **arguments_of(call)))

    def code(self, call: Call) -> str:
        action = self._action(call)
        if action:
            given = [] if action == "list" else [call[action]]
            return python_call(
                "from llm_magics import current_session",
                f"current_session().runs.{_METHODS[action]}",
                *given,
            )
        arguments = arguments_of(call, as_source=True)
        if call["find-lr"]:
            arguments = _without_a_run(arguments)
            return python_call(
                "from llm_magics import find_lr",
                "find_lr",
                **{name: value for name, value in arguments.items() if value},
            )
        started = python_call(
            "from llm_magics import train",
            "train",
            assign="run",
            **{name: value for name, value in arguments.items() if value},
        )
        return (
            started
            if call["background"]
            else f"{started}\nresult = run.result  # waits for the end"
        )

    @staticmethod
    def _action(call: Call) -> str | None:
        """ "list", "attach" or "stop"; None when something is to be trained."""
        asked = [name for name in ("recipe", "resume", *_METHODS) if call[name]]
        if len(asked) > 1 and set(asked) & set(_METHODS):
            raise call.wrong(f"--{' and --'.join(asked)} do not go together; give one of them")
        return asked[0] if asked and asked[0] in _METHODS else None


def _without_a_run(arguments: dict[str, object]) -> dict[str, object]:
    """Arguments of `Session.find_lr`, which makes no run: those of `Session.train` without what is
    said of one."""
    return {key: value for key, value in arguments.items() if key not in ("replace", "resume")}


def _find_lr(call: Call, **arguments: Any) -> object:
    """The range test, with a line that says how far it is."""
    live = Live(call.shell, quiet=bool(call["quiet"]))

    def on_step(step: int, rate: float, loss: float) -> None:
        line = f"learning rate {rate:.2g}: loss {loss:.3f}"
        live.status(lambda: el("div", {}, line), line)

    from llm_magics import api

    result = api.find_lr(**_without_a_run(arguments), on_step=on_step)
    live.close()
    return result


def _train(call: Call, **arguments: Any) -> object:
    from llm_magics.magics.training.train_view import view_for

    recipe = arguments["recipe"]
    title = str(
        arguments["name"]
        or (recipe.get("name", "training") if isinstance(recipe, dict) else recipe)
        or (call.words[0] if call.words else "transformer")
    )
    view = view_for(call.shell, title, quiet=bool(call["quiet"]))
    try:
        from llm_magics import api

        run = api.train(**arguments, on_event=view.on_event)
    except BaseException:
        view.close("failed")
        raise
    view.connect(run)
    if call["background"]:
        aside(follow, run, view)
        return run
    return wait(run, view, f"run:{run.name}", f"%train --resume {run.name}")
