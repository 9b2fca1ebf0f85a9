"""`%train`: a model and data, or a recipe, in; a model out, with a curve that moves and a cell that can be stopped."""

from __future__ import annotations

import contextvars
import sys
import threading
import tomllib
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from llm_magics.display.html import el
from llm_magics.magics.command import Call, Command, Interrupted, python_call
from llm_magics.magics.live import Live
from llm_magics.magics.options import Option, Word, number, suggestion, whole
from llm_magics.magics.runs import attach, listing
from llm_magics.training.recipe import OPTIMIZERS, SCHEDULES, TASKS, shipped_recipes

if TYPE_CHECKING:
    from llm_magics.magics.curve import Silent

__all__ = ["TrainMagic"]

_SETTINGS = {"epochs": "schedule.epochs", "seed": "seed", "optimizer": "optimizer.name", "lr": "optimizer.lr",
             "schedule": "schedule.kind", "early-stop": "evaluation.patience", "batch": "batch.tokens",
             "tokenizer": "tokenizer.kind", "vocab": "tokenizer.vocab_size", "lora": "lora.rank", "metric": "evaluation.metric"}
_AUGMENTATIONS = ("join", "drop", "swap", "back_translate")
_METHODS = {"list": "runs", "attach": "find_run", "stop": "stop_run"}


class TrainMagic(Command):
    """`%train MODEL --data DATA`, `%train --recipe NAME`, or `%%train` with a recipe in TOML below it."""

    name = "train"
    summary = "Train a model from scratch, fine-tune one, or follow a recipe; the result is kept as run:NAME."
    details = ("MODEL is an architecture (transformer, lstm, gru, rnn, softmax-regression), a model to fine-tune, or a torch "
               "module of the notebook. Or a recipe: shipped (--list), a TOML file, or the body of the cell. Interrupting "
               "the cell, or the stop button, ends the training after the current step; model and checkpoint are kept.")
    cell = "A recipe in TOML"
    words = (Word("model", "an architecture, a model reference, or a variable that holds a torch module",
                  completes="trainable"),)
    options = (
        Option("--data", "training rows: a .jsonl, .csv, .tsv, .parquet or .txt file, hub:NAME, or a variable (data frame, "
               "dataset, list)", "DATA", completes="variable"),
        Option("--validation", "held-out rows to watch; without them some training rows are held out", "DATA",
               completes="variable"),
        Option("--test", "held-out rows for the figures at the end", "DATA", completes="variable"),
        Option("--task", "what is learnt; --from and --to say translate", "TASK",
               choices=tuple(task for task in TASKS if task != "custom")),
        Option("--from", "language of the source texts", "LANG", completes="language"),
        Option("--to", "language of the target texts", "LANG", completes="language"),
        Option("--fields", "which column is what: text=review,label=stars", "ROLE=COLUMN,…"),
        Option("--loss", "for a module: cross_entropy, mse, l1, bce, nll, or a variable that holds a function of "
               "(output, target)", "LOSS", completes="variable"),
        Option("--recipe", "name of a shipped recipe, or a TOML file", "RECIPE", completes="recipe"),
        Option("--name", "name of the run; the model is then run:NAME", "NAME"),
        Option("--replace", "keep an existing run of this name under NAME-1, NAME-2, … and take the name"),
        Option("--epochs", "passes over the training data", "N", number(1e-3, 1e6)),
        Option("--optimizer", "sgd, momentum and adam are written from their formulas", "NAME",
               choices=OPTIMIZERS),
        Option("--lr", "learning rate at its peak", "RATE", number(1e-12, 1e3)),
        Option("--schedule", "how the rate changes", "KIND", choices=SCHEDULES),
        Option("--early-stop", "end after N evaluations without a lower validation loss", "N", whole(1, 10_000)),
        Option("--metric", "what is measured on held-out rows", "NAME"),
        Option("--batch", "tokens in a batch", "TOKENS", whole(1, 10_000_000)),
        Option("--tokenizer", "kind of vocabulary that is trained", "KIND", choices=("bpe", "unigram", "word", "char")),
        Option("--vocab", "entries of the vocabulary", "N", whole(10, 1_000_000)),
        Option("--augment", "drop=0.1, swap=0.1 (shares of source tokens), join=0.1 (of rows), back_translate=MODEL",
               "KIND=VALUE,…"),
        Option("--lora", "fine-tune low-rank updates of this rank in place of all weights", "RANK", whole(1, 4096)),
        Option("--skip-bad-rows", "leave rows that cannot be read out, and count them"),
        Option("--set", "any setting of a recipe: model.d_model=256,batch.accumulate=2", "KEY=VALUE,…"),
        Option("--seed", "seed of weights, data order and dropout", "N", whole(0, 2**31 - 1)),
        Option("--device", "cpu, cuda, cuda:1, mps; without it the best there is", "DEVICE"),
        Option("--find-lr", "train nothing: try growing learning rates on copies, and show which one to take"),
        Option("--resume", "go on with a run that was stopped", "NAME", completes="run"),
        Option("--background", "return at once; the curve moves on while other cells run"),
        Option("--list", "list the shipped recipes and the runs on this machine"),
        Option("--attach", "show a run, also one of another kernel", "NAME", completes="run"),
        Option("--stop", "stop a run that trains in the background of this kernel", "NAME", completes="run"),
    )
    examples = (
        "%train transformer --data pairs.csv --from en --to de --epochs 10 --optimizer adam --lr 5e-4 --early-stop 5",
        "%train lstm --data reviews --task classify --fields text=review,label=stars",
        "%train my_module --data my_dataset --loss cross_entropy --epochs 3",
        "%train --recipe number-words --name numbers",
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
            return call.session.stop_run(call["stop"])
        if call["find-lr"]:
            return _find_lr(call, **self._arguments(call))
        return _train(call, **self._arguments(call))

    def plan(self, call: Call) -> object:
        from llm_magics.magics.models import plan_table

        if self._action(call):
            return super().plan(call)

        return plan_table(call.session.plan("train", **self._arguments(call)))

    def code(self, call: Call) -> str:
        action = self._action(call)
        if action:
            given = [] if action == "list" else [call[action]]
            return python_call("from llm_magics import current_session", f"current_session().{_METHODS[action]}", *given)
        arguments = self._arguments(call, as_source=True)
        if call["find-lr"]:
            arguments = {key: value for key, value in arguments.items() if key not in ("replace", "resume")}
            return python_call("from llm_magics import current_session", "current_session().find_lr",
                               **{name: value for name, value in arguments.items() if value})
        started = python_call("from llm_magics import train", "train", assign="run",
                              **{name: value for name, value in arguments.items() if value})
        return started if call["background"] else f"{started}\nresult = run.result  # waits for the end"

    @staticmethod
    def _action(call: Call) -> str | None:
        """"list", "attach" or "stop"; None when something is to be trained."""
        asked = [name for name in ("recipe", "resume", *_METHODS) if call[name]]
        if len(asked) > 1 and set(asked) & set(_METHODS):
            raise call.wrong(f"--{' and --'.join(asked)} do not go together; give one of them")
        return asked[0] if asked and asked[0] in _METHODS else None

    def _arguments(self, call: Call, as_source: bool = False) -> dict[str, object]:
        """Arguments of `Session.train`, from exactly one source of what is to be trained."""
        model = call.words[0] if call.words else None
        given = {"--recipe": call["recipe"], "--data": call["data"], "the cell": (call.cell or "").strip()}
        if not call["data"]:
            given["--resume"] = call["resume"]
        sources = [name for name, value in given.items() if value]
        if call["resume"] and call["name"]:
            raise call.wrong("--resume names the run already; leave --name out")
        if len(sources) != 1:
            found = " and ".join(sources)
            raise call.wrong(f"what is trained comes from {found}; give one of them" if sources else
                             f"{model} is a recipe: %train --recipe {model}" if model in shipped_recipes() else
                             f"{model} needs data to be trained on: give --data" if model else
                             "what is to be trained? write %train MODEL --data DATA, --recipe NAME (%train --list shows "
                             "them), or a recipe in TOML below %%train")
        if not call["data"]:
            extra = [f"--{name}" for name in ("validation", "test", "task", "from", "to", "fields", "loss") if call[name]]
            if extra or model:
                raise call.wrong(f"{model or extra[0]} goes with --data; a recipe names its own model and data (change a "
                                 "setting of it with --set)")
        recipe = _toml(call) if given["the cell"] else call["recipe"]  # neither: the run goes on with its own
        arguments = {"recipe": recipe, "name": call["name"] or call["resume"], "overrides": self._overrides(call),
                     "replace": bool(call["replace"]), "device": call["device"]}
        if call["data"] and call["resume"]:
            arguments["resume"] = True
        if call["data"]:
            arguments |= {"model": _module(call, model, as_source), "task": call["task"],
                          "data": _object(call, call["data"], as_source),
                          "validation": _object(call, call["validation"], as_source),
                          "test": _object(call, call["test"], as_source), "source": call["from"], "target": call["to"],
                          "fields": _pairs(call, "fields"), "loss": _object(call, call["loss"], as_source)}
        return arguments

    @staticmethod
    def _overrides(call: Call) -> dict[str, object]:
        """Dotted settings: the options that stand for one, --augment, --skip-bad-rows and --set."""
        settings = {setting: call[option] for option, setting in _SETTINGS.items() if call[option] is not None}
        for kind, value in _pairs(call, "augment").items():
            if kind not in _AUGMENTATIONS:
                hint = suggestion(kind, _AUGMENTATIONS) or f"; known: {', '.join(_AUGMENTATIONS)}"
                raise call.wrong(f"--augment: there is no {kind!r}{hint}")
            settings[f"augmentation.{kind}"] = _value(value)
        if call["skip-bad-rows"]:
            settings["data.skip_bad_rows"] = True
        return {**settings, **{key: _value(value) for key, value in _pairs(call, "set").items()}}


def _pairs(call: Call, option: str) -> dict[str, str]:
    """`a=1,b=2` as a dict."""
    pairs = {}
    for piece in filter(None, (call[option] or "").split(",")):
        key, equals, value = (part.strip() for part in piece.partition("="))
        if not (key and equals and value):
            raise call.wrong(f"--{option}: {piece!r} should read {'ROLE=COLUMN' if option == 'fields' else 'KEY=VALUE'}")
        pairs[key] = value
    return pairs


def _value(text: str) -> object:
    """A number, true or false where it reads as one, else the text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


class _Source:
    """An expression of the notebook, as `python_call` writes it."""

    def __init__(self, source: str) -> None:
        self.source = source


def _module(call: Call, text: str | None, as_source: bool) -> object:
    """The torch module that a variable, or something in one, holds; else the text, an architecture or a reference."""
    torch = sys.modules.get("torch")  # without torch no variable holds a module
    head = (text or "").split(".")[0].split("[")[0]
    if torch is None or head not in call.scope:
        return text
    try:
        value = call.look_up(text)
    except UsageError:  # a model may be called as a variable is
        return text
    if not isinstance(value, torch.nn.Module):
        return text
    return _Source(text) if as_source else value


def _object(call: Call, text: str | None, as_source: bool) -> object:
    """The variable (or attribute, or item of one) that `text` names; the text itself where there is no such variable."""
    head = (text or "").split(".")[0].split("[")[0]
    if not text or not head.isidentifier() or head not in call.scope:
        return text
    try:
        value = call.look_up(text)
    except UsageError:
        if text.endswith((".jsonl", ".csv", ".tsv", ".parquet", ".txt", ".gz", ".json")):
            return text  # a file that is called as a variable is
        raise
    return _Source(text) if as_source else value


def _toml(call: Call) -> dict[str, object]:
    try:
        return tomllib.loads(call.cell or "")
    except tomllib.TOMLDecodeError as error:
        raise call.wrong(f"the cell is no recipe in TOML: {error}") from None


def _find_lr(call: Call, **arguments: object) -> object:
    """The range test, with a line that says how far it is."""
    live = Live(call.shell, quiet=bool(call["quiet"]))
    arguments = {key: value for key, value in arguments.items() if key not in ("replace", "resume")}

    def on_step(step: int, rate: float, loss: float) -> None:
        line = f"learning rate {rate:.2g}: loss {loss:.3f}"
        live.status(lambda: el("div", {}, line), line)

    result = call.session.find_lr(**arguments, on_step=on_step)
    live.close()
    return result


def _train(call: Call, **arguments: object) -> object:
    from llm_magics.magics.curve import view_for

    recipe = arguments["recipe"]
    title = str(arguments["name"] or (recipe.get("name", "training") if isinstance(recipe, dict) else recipe) or
                (call.words[0] if call.words else "transformer"))
    view = view_for(call.shell, title, quiet=bool(call["quiet"]))
    try:
        run = call.session.train(**arguments, on_event=view.on_event)
    except BaseException:
        view.close("failed")
        raise
    view.connect(run)
    if call["background"]:
        watcher = threading.Thread(  # with the context of this cell, whose output the curve belongs to
            target=contextvars.copy_context().run, args=(_watch, run, view), name="llm-magics-train", daemon=True)
        watcher.start()
        return run
    return _wait(run, view)


def _wait(run: object, view: Silent) -> object:
    """Wait for the run. The first interrupt asks it to stop and waits on; the second gives up waiting."""
    asked = False
    while True:
        try:
            while not run.wait(0.1):
                asked = asked or _pass_on_stop(run, view)
            break
        except KeyboardInterrupt:
            if asked:
                view.close("interrupted")
                raise Interrupted(f"no longer waiting for run:{run.name}; it ends after its current step, and its last "
                                  f"checkpoint stays valid (%train --resume {run.name})") from None
            asked = True
            run.stop()
            view.stopping()
    return _close(run, view)


def _watch(run: object, view: Silent) -> None:
    asked = False
    while not run.wait(0.2):
        asked = asked or _pass_on_stop(run, view)
    try:
        _close(run, view)
    except Exception:  # noqa: BLE001 - run.result raises it again for whoever asks; the curve says "failed"
        return


def _pass_on_stop(run: object, view: Silent) -> bool:
    if view.stop_requested:
        run.stop()
        view.stopping()
    return view.stop_requested


def _close(run: object, view: Silent) -> object:
    try:
        result = run.result
    except BaseException:
        view.close("failed")
        raise
    view.close("interrupted" if getattr(result, "reason", "") == "stopped" else "finished")
    return result
