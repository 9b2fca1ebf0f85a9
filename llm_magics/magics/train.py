"""`%train`: a recipe in, a model out, with a curve that moves and a cell that can be stopped."""

from __future__ import annotations

import contextvars
import threading
import tomllib
from typing import TYPE_CHECKING

from llm_magics.magics.command import Call, Command, Interrupted, python_call
from llm_magics.magics.options import Option, number, whole
from llm_magics.magics.runs import attach, listing

if TYPE_CHECKING:
    from llm_magics.magics.curve import Silent

__all__ = ["TrainMagic"]

_SETTINGS = {"epochs": "schedule.epochs", "seed": "seed", "optimizer": "optimizer.name", "lr": "optimizer.lr"}
_METHODS = {"list": "runs", "attach": "find_run", "stop": "stop_run"}


class TrainMagic(Command):
    """`%train --recipe NAME`, or `%%train` with a recipe in TOML below it."""

    name = "train"
    summary = "Train a model by a recipe and keep it as run:NAME."
    details = ("The recipe is shipped (--list), a TOML file, or the body of the cell. Interrupting the cell, or the "
               "stop button, ends the training after the current step; model and checkpoint are kept.")
    cell = "A recipe in TOML"
    options = (
        Option("--recipe", "name of a shipped recipe, or a TOML file", "RECIPE", completes="recipe"),
        Option("--name", "name of the run; the model is then run:NAME", "NAME"),
        Option("--replace", "keep an existing run of this name under NAME-1, NAME-2, … and take the name"),
        Option("--epochs", "passes over the training data, in place of the recipe's", "N", number(1e-3, 1e6)),
        Option("--optimizer", "in place of the recipe's", "NAME", choices=("adamw", "adam", "momentum", "sgd")),
        Option("--lr", "learning rate at its peak, in place of the recipe's", "RATE", number(1e-12, 1e3)),
        Option("--seed", "seed of weights, data order and dropout", "N", whole(0, 2**31 - 1)),
        Option("--device", "cpu, cuda, cuda:1, mps; without it the best there is", "DEVICE"),
        Option("--resume", "go on with a run that was stopped", "NAME", completes="run"),
        Option("--background", "return at once; the curve moves on while other cells run"),
        Option("--list", "list the shipped recipes and the runs on this machine"),
        Option("--attach", "show a run, also one of another kernel", "NAME", completes="run"),
        Option("--stop", "stop a run that trains in the background of this kernel", "NAME", completes="run"),
    )
    examples = (
        "%train --list",
        "%train --recipe number-words --name numbers",
        "%train --recipe number-words --epochs 2 --background",
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
        arguments = self._arguments(call)
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

    def _arguments(self, call: Call) -> dict[str, object]:
        """Arguments of `Session.train`, from exactly one source of a recipe."""
        given = {"--recipe": call["recipe"], "--resume": call["resume"], "the cell": (call.cell or "").strip()}
        sources = [name for name, value in given.items() if value]
        if call["resume"] and call["name"]:
            raise call.wrong("--resume names the run already; leave --name out")
        if len(sources) != 1:
            found = " and ".join(sources)
            raise call.wrong(f"the recipe comes from {found}; give one of them" if sources else
                             "which recipe? write --recipe NAME (%train --list shows them), or a recipe in TOML "
                             "below %%train")
        recipe = _toml(call) if given["the cell"] else call["recipe"]  # neither: the run goes on with its own
        overrides = {setting: call[option] for option, setting in _SETTINGS.items() if call[option] is not None}
        return {"recipe": recipe, "name": call["name"] or call["resume"], "overrides": overrides,
                "replace": bool(call["replace"]), "device": call["device"]}


def _toml(call: Call) -> dict[str, object]:
    try:
        return tomllib.loads(call.cell or "")
    except tomllib.TOMLDecodeError as error:
        raise call.wrong(f"the cell is no recipe in TOML: {error}") from None


def _train(call: Call, **arguments: object) -> object:
    from llm_magics.magics.curve import view_for

    recipe = arguments["recipe"]
    title = str(arguments["name"] or (recipe.get("name", "training") if isinstance(recipe, dict) else recipe))
    view = view_for(call.shell, title, quiet=bool(call["quiet"]))
    try:
        run = call.session.train(**arguments, on_event=view.on_event)
    except BaseException:
        view.close("failed")
        raise
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
