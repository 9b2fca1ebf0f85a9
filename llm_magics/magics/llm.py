"""`%llm`: what there is."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from llm_magics.display.html import Node, el, fragment, render
from llm_magics.display.table import Table, table
from llm_magics.magics import MAGICS, find_command
from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import Command
from llm_magics.models.reference import embedded_names, package_names, run_names

__all__ = ["LLMMagic", "Overview"]


@dataclass(frozen=True)
class Overview:
    """The magics and the models that can be used without a download."""

    version: str
    magics: Table
    models: Table

    def __str__(self) -> str:
        return f"llm_magics {self.version}\n\n{self.magics.text()}\n\n{self.models.text()}"

    def node(self) -> Node:
        """Both tables under one heading."""
        heading = el(
            "p", {"style": {"margin": "0 0 6px 0"}}, el("b", {}, f"llm_magics {self.version}")
        )
        return fragment(heading, self.magics.node(), self.models.node())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": render(self.node())}


class LLMMagic(Command):
    """`%llm`."""

    name = "llm"
    summary = "Show what there is: magics, and models at hand."
    examples = ("%llm",)

    def run(self, call: Call) -> Overview:
        from llm_magics import __version__

        return Overview(__version__, _magics_table(), _models_table())

    def code(self, call: Call) -> str:
        return "import llm_magics\n\nhelp(llm_magics)"


def _magics_table() -> Table:
    rows = []
    for name in MAGICS:
        magic = find_command(name)
        rows.append([f"%{name}" + (f", %%{name}" if magic.cell else ""), magic.summary])
    caption = (
        "%NAME -h shows options and examples, --panel opens a task as a form; settings: %config LLM"
    )
    return table(["magic", "what it does"], rows, caption=caption)


def _models_table() -> Table:
    rows = [[f"embedded:{name}", "ships with llm_magics"] for name in embedded_names()]
    rows += [[f"package:{name}", "from an installed package"] for name in package_names()]
    rows += [[f"run:{name}", "trained here"] for name in run_names()]
    session = sys.modules.get("llm_magics.session")  # nothing is loaded before there was a session
    loaded = session.current_session().manager.rows() if session else []
    held = {row.name for row in loaded}
    rows = [[name, f"{origin}, loaded" if name in held else origin] for name, origin in rows]
    known = {row[0] for row in rows}
    rows += [[row.name, "loaded"] for row in loaded if row.name not in known]
    return table(
        ["model at hand", "origin"],
        rows,
        caption="any hub id or local folder of a supported family works as well, as --model REF",
    )
