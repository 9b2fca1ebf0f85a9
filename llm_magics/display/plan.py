"""What a call would load, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_magics.display.table import Table, table
from llm_magics.display.units import size

if TYPE_CHECKING:
    from llm_magics.models.manager.entry import LoadPlan

__all__ = ["plan_table"]


def plan_table(plan: LoadPlan) -> Table:
    """A LoadPlan: what a call would load, and whether it fits."""
    download = plan.download_bytes
    rows = [
        ["model", plan.model],
        ["device", plan.device],
        ["dtype", plan.dtype],
        *([["engine", plan.engine]] if plan.engine != "torch" else []),
        ["memory needed", "none, it is loaded" if plan.resident else size(plan.needed_bytes)],
        ["memory free", size(plan.free_bytes)],
        ["download", "none, it is on this machine" if plan.cached else size(download)],
    ]
    return table(["", "would use"], rows, caption=plan.note or "")
