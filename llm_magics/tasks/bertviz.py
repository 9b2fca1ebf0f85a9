"""A model's attention in BertViz's own views."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llm_magics.attention.bertviz_bridge import (
    COMFORTABLE_TOKENS,
    STYLE,
    bertviz_cost,
    bertviz_parts,
)
from llm_magics.display.html import page
from llm_magics.display.page import FramedPage
from llm_magics.errors import InputError
from llm_magics.tasks.attention import explore_attention

if TYPE_CHECKING:
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["bertviz"]


def bertviz(
    text: str,
    second: str | None = None,
    *,
    manager: ModelManager,
    model: object,
    view: str = "head",
    kind: str | None = None,
    layer: int = 0,
    head: int = 0,
    anyway: bool = False,
) -> FramedPage:
    """The attention of `model` on `text` in BertViz's view "head", "model" or "neuron"; other
    arguments as for `explore_attention`.

    Raises InputError for more than 128 tokens, which BertViz draws as one line of SVG a weight,
    unless `anyway`.
    """
    store = explore_attention(text, second, manager=manager, model=model).sources[0].store
    longest = max(max(len(panel.rows), len(panel.columns)) for panel in store.panels)
    if longest > COMFORTABLE_TOKENS and not anyway:
        weights, size = bertviz_cost(store)
        raise InputError(
            f"{longest:,} tokens make {weights:,} lines of SVG and about {size / 1e6:,.0f} MB in "
            f"BertViz, which is made for {COMFORTABLE_TOKENS} and may stay blank; leave "
            "--bertviz out for a view of any length, or say --anyway"
        )
    parts, title = (
        bertviz_parts(store, view, kind=kind, layer=layer, head=head),
        f"BertViz's {view} view of {store.title}",
    )
    document = page(
        title, style=STYLE, data=json.dumps(parts.data), scripts=parts.scripts, remote=parts.remote
    )
    return FramedPage(text=title, document=document, height_px=parts.height_px, notice=parts.notice)
