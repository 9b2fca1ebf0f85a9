"""`%tune`: a recipe and what may vary in it, in; the best settings and their model out, with a
curve a trial that moves."""

from __future__ import annotations

from llm_magics.extras import install_hint
from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import Command
from llm_magics.magics.core.objects import object_or_text
from llm_magics.magics.core.options import Option, number, whole
from llm_magics.magics.core.python_source import Source, python_call
from llm_magics.magics.training.tune_view import attach, listing, search

__all__ = ["TuneMagic"]

_OBJECTS = ("model", "data", "validation", "test", "loss")
"""What the cell may name by a variable of the notebook."""


class TuneMagic(Command):
    """`%%tune` with a search space in TOML below it; `%tune --attach`, `--resume`, `--stop` and
    `--list`."""

    name = "tune"
    summary = (
        "Search for the settings a model learns best with; each trial is a training, the best is "
        "kept as run:NAME."
    )
    details = (
        'The cell says what is trained: recipe = "NAME" (shipped, or a file), or model and data '
        "as %train takes them "
        "(also task, from, to, fields, loss), or the tables of a recipe; settings below [set] "
        "take the place of the "
        "recipe's. Below [search] stand settings with a list of values, or { low = …, high = … } "
        "and, if wanted, "
        "log = true or step. Trials that do worse than others are ended early: [pruning] kind = "
        '"median", '
        '"hyperband" or "none", warmup = evaluations before that. Trials are compared on the '
        "validation rows; the "
        "test rows are looked at once, with the best. Interrupting the cell, or the stop button, "
        "ends the search; "
        "%tune --resume goes on with it, also in another kernel. Needs "
        f"{install_hint('tune')}."
    )
    cell = "What is trained, [search] and, if wanted, [set] and [pruning], in TOML"
    options = (
        Option("--name", "name of the study, and of the run that is kept", "NAME"),
        Option("--trials", "how many, in all (default 20)", "N", whole(1, 10_000)),
        Option(
            "--metric", "what is looked for: loss (the default), or what the task measures", "NAME"
        ),
        Option("--hours", "stop after so much time", "H", number(1e-4, 10_000)),
        Option(
            "--seed",
            "seed of the choice of settings; all trials have the recipe's",
            "N",
            whole(0, 2**31 - 1),
        ),
        Option("--keep-all", "keep the checkpoints of all trials, not only of the best"),
        Option("--device", "cpu, cuda, cuda:1, mps; without it the best there is", "DEVICE"),
        Option("--background", "return at once; the curves move on while other cells run"),
        Option("--list", "list the studies on this machine"),
        Option("--attach", "show a study, also one of another kernel", "NAME", completes="study"),
        Option(
            "--resume", "go on with a study; --trials may ask for more", "NAME", completes="study"
        ),
        Option(
            "--stop",
            "stop a search that runs in the background of this kernel",
            "NAME",
            completes="study",
        ),
    )
    examples = (
        '%%tune --name better-numbers --trials 20\nrecipe = "number-words"\n[search]\n'
        '"optimizer.lr" = { low = 1e-4, high = 1e-2, log = true }\n"model.dropout" = [0.0, 0.1, '
        "0.3]",
        "%tune --attach better-numbers",
        "%tune --resume better-numbers --trials 40",
        "%%translate --model run:better-numbers\nforty-two",
    )

    def run(self, call: Call) -> object:
        action = self._action(call)
        if action == "list":
            return listing(call)
        if action == "attach":
            return attach(call)
        if action == "stop":
            return call.session.runs.stop_study(str(call["stop"]))
        return search(call, **self._arguments(call))

    def code(self, call: Call) -> str:
        action = self._action(call)
        if action == "list":
            return python_call(
                "from llm_magics import current_session", "current_session().runs.studies"
            )
        if action == "attach":
            return (
                python_call(
                    "from llm_magics import current_session",
                    "current_session().runs.find_study",
                    call["attach"],
                    assign="study",
                )
                + "\nboard = study.board()"
            )
        if action == "stop":
            return python_call(
                "from llm_magics import current_session",
                "current_session().runs.stop_study",
                call["stop"],
            )
        arguments = {
            key: value for key, value in self._arguments(call, as_source=True).items() if value
        }
        document = arguments.pop("document", None)
        started = python_call(
            "from llm_magics import tune",
            "tune",
            *([document] if document else []),
            assign="search",
            **arguments,
        )
        return (
            started
            if call["background"]
            else f"{started}\nresult = search.result  # waits for the end"
        )

    @staticmethod
    def _action(call: Call) -> str | None:
        """ "list", "attach", "stop" or "resume"; None when a study is to be made."""
        asked = [name for name in ("list", "attach", "stop", "resume") if call[name]]
        if len(asked) > 1:
            raise call.wrong(f"--{' and --'.join(asked)} do not go together; give one of them")
        if asked and (call.cell or "").strip():
            raise call.wrong(
                f"--{asked[0]} is about a study there is; leave the cell below it empty"
            )
        return asked[0] if asked else None

    def _arguments(self, call: Call, as_source: bool = False) -> dict[str, object]:
        """Arguments of `llm_magics.tune`."""
        how = {"trials": call["trials"], "hours": call["hours"], "device": call["device"]}
        if call["resume"]:
            extra = [f"--{name}" for name in ("name", "metric", "seed", "keep-all") if call[name]]
            if extra:
                raise call.wrong(f"a study goes on as it began; leave {extra[0]} out")
            said = call.session.runs.find_study(str(call["resume"])).settings.said
            return {**how, "name": call["resume"], "objects": _objects(call, said, as_source)}
        if not (call.cell or "").strip():
            raise call.wrong(
                "what is to be searched? write what is trained and a [search] table below %%tune "
                "(%tune -h shows an example)"
            )
        if not call["name"]:
            raise call.wrong("give the study a name: --name NAME; its best run is then run:NAME")
        document = call.toml("not valid TOML")
        objects = _objects(
            call,
            {key: document[key] for key in _OBJECTS if isinstance(document.get(key), str)},
            as_source,
        )
        said = {key: document[key] for key in objects}
        if as_source and objects:
            document = Source(
                "{"
                + ", ".join(
                    f"{key!r}: {objects[key].source if key in objects else repr(value)}"
                    for key, value in document.items()
                )
                + "}"
            )
        return {
            **how,
            "document": document if as_source else {**document, **objects},
            "name": call["name"],
            "metric": call["metric"] or "loss",
            "seed": call["seed"] or 0,
            "keep_all": bool(call["keep-all"]),
            "said": said,
        }


def _objects(call: Call, named: dict[str, str], as_source: bool) -> dict[str, object]:
    """The objects of the notebook among what is named: not what is text, which names a file or an
    architecture."""
    found = {key: (text, object_or_text(call, text)) for key, text in named.items()}
    return {
        key: Source(text) if as_source else value
        for key, (text, value) in found.items()
        if not isinstance(value, str)
    }
