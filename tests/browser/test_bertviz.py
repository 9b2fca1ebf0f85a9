"""bertviz's own views, drawn in a browser that has no network."""

from __future__ import annotations

import json

import pytest
import torch

from llm_magics.attention.bertviz_bridge import BERTVIZ_VIEWS, STYLE, bertviz_parts
from llm_magics.attention.store import AttentionStore, Layer, Panel
from llm_magics.display.html import frame, page, render

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("view", BERTVIZ_VIEWS)
def test_the_view_draws_without_a_network(chromium, view):
    pytest.importorskip("mpld3")
    pytest.importorskip("nbclassic")
    tokens = ["one", "two", "</script>"]
    layers = [Layer(torch.randn(4, 3, 8), torch.randn(4, 3, 8), 1.0) for _ in range(2)]
    made = bertviz_parts(AttentionStore("tiny", [Panel("self", layers, tokens, tokens)]), view)
    document = page(view, style=STYLE, data=json.dumps(made.data), scripts=made.scripts)
    opened = chromium.new_page()
    try:
        asked, errors = [], []
        opened.on("request", lambda request: asked.append(request.url))
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.set_content(render(frame(document, view, made.height_px)))
        inside = opened.frame_locator("iframe")
        inside.locator("svg line, svg path").first.wait_for(state="attached", timeout=60_000)
        assert inside.locator("svg text", has_text="</script>").count() >= (
            0 if view == "model" else 1
        )
        assert errors == []
        assert [url for url in asked if url.startswith("http")] == []
    finally:
        opened.close()
