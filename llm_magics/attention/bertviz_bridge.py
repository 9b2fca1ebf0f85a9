"""The bridge to BertViz (J. Vig, 2019, arXiv 1906.05714): captured maps in bertviz's own three
views.

bertviz's Python half takes all weights as tensors, writes them twice with up to 20 digits each,
leaves tokens unescaped, and loads three scripts from a CDN; its neuron view knows four models of
2019. So only its browser half is used: `head_view.js`, `model_view.js` and `neuron_view.js` of the
      installed package, each in a page of its own, with
the captured maps of any model as data.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any

from llm_magics.attention.layer import MapLayer
from llm_magics.errors import AttentionError
from llm_magics.extras import install_hint

if TYPE_CHECKING:
    from llm_magics.attention.store import AttentionStore, Panel

__all__ = [
    "BERTVIZ_VIEWS",
    "COMFORTABLE_TOKENS",
    "STYLE",
    "BertvizParts",
    "bertviz_cost",
    "bertviz_parts",
]

BERTVIZ_VIEWS = ("head", "model", "neuron")
COMFORTABLE_TOKENS = 128
"""Beyond, bertviz's views take tens of seconds and hundreds of megabytes, or stay blank."""

_BYTES_A_WEIGHT = 6
_DIGITS = 4
_NAMES = {"encoder": "Encoder", "decoder": "Decoder", "cross": "Cross", "self": "Self"}
# Installed distributions that bring a script which bertviz asks for, and where in them it lies.
_PROVIDERS = {
    "d3": (("mpld3", "mpld3/js/d3.v5.min.js"),),
    "jquery": (
        ("nbclassic", "nbclassic/static/components/jquery/jquery.min.js"),
        ("sphinxcontrib-jquery", "sphinxcontrib/jquery/jquery.js"),
        ("Django", "django/contrib/admin/static/admin/js/vendor/jquery/jquery.min.js"),
    ),
}
_CDN = {
    "d3": "https://cdnjs.cloudflare.com/ajax/libs/d3/5.7.0/d3.min.js",
    "jquery": "https://cdnjs.cloudflare.com/ajax/libs/jquery/2.0.0/jquery.min.js",
}
STYLE = (
    "body { margin: 0; background: #fff; color: #222; font: 14px 'Helvetica Neue', Helvetica, "
    "Arial, sans-serif }select { margin-right: 12px }"
)
# What bertviz finds in a page: its parameters, the elements that it fills, and, in place of
# require.js, which only
# loads its two scripts, a function that hands them over.
_GLUE = """\
const given = JSON.parse(document.getElementById("llm-data").textContent);
window.bertviz_params = given.parameters;
const loaded = { jquery: window.jQuery, d3: window.d3 };
window.requirejs = window.require = (names, body) => body(...names.map((name) => loaded[name]));
require.config = () => {};
const root = document.body.appendChild(document.createElement("div"));
root.id = given.parameters.root_div_id;
for (const [label, id, options] of given.controls) {
  const span = root.appendChild(document.createElement("span"));
  span.className = "dropdown-label";
  span.append(`${label}: `);
  const select = span.appendChild(document.createElement("select"));
  select.id = id;
  options.forEach((name, number) => select.add(new Option(name, number)));
}
root.appendChild(document.createElement("div")).id = "vis";"""


@dataclass(frozen=True)
class BertvizParts:
    """What a page of one of bertviz's views is made of."""

    data: dict[str, Any]
    """The view's parameters, and the choices above it."""
    scripts: list[str]
    """To be run one after the other."""
    remote: list[str]
    """Addresses of scripts that have to be loaded before; empty where they are installed."""
    height_px: int
    notice: str = ""
    """What the reader should know: that a network is needed, or what of the model is not shown."""


def bertviz_cost(store: AttentionStore) -> tuple[int, int]:
    """What bertviz's head and model views of `store` would hold: weights, one SVG line each, and
    bytes of HTML."""
    weights = sum(
        len(panel.layers) * panel.heads * len(panel.rows) * len(panel.columns)
        for panel in store.panels
    )
    return weights, weights * _BYTES_A_WEIGHT


def bertviz_parts(
    store: AttentionStore,
    view: str = "head",
    *,
    kind: str | None = None,
    layer: int = 0,
    head: int = 0,
) -> BertvizParts:
    """The view "head", "model" or "neuron" of bertviz on the maps of `store`.

    `kind` picks one kind of attention; None shows all of them, where bertviz can: with equal layers
    and heads, and in the neuron view only the first. `layer` and `head` are opened first. Raises
    AttentionError for another view and for neurons of attention that has no queries and keys.
    """
    if view not in BERTVIZ_VIEWS:
        raise AttentionError(f"bertviz has no {view!r} view; there are {', '.join(BERTVIZ_VIEWS)}")
    panels, notices = _shown(store, view, kind)
    if view == "neuron":
        parameters = _neuron_parameters(panels[0], layer, head)
        controls, height = (
            [("Layer", "layer", []), ("Head", "att_head", [])],
            26 * len(panels[0].columns) + 190,
        )
    else:
        parameters = _map_parameters(panels, view, layer)
        controls, height = _controls(panels, view), _height(panels, view)
    scripts, remote = _scripts()
    if remote:
        notices.append(
            "bertviz loads d3 and jQuery from a CDN here: without a network the view stays empty; "
            f"{install_hint('bertviz')} brings them"
        )
    source = (resources.files("bertviz") / f"{view}_view.js").read_text(encoding="utf-8")
    source = source.replace(
        "const params = PYTHON_PARAMS;", "const params = window.bertviz_params;"
    )
    return BertvizParts(
        {"parameters": parameters, "controls": controls},
        [*scripts, _GLUE, source],
        remote,
        height,
        "; ".join(notices),
    )


def _shown(store: AttentionStore, view: str, kind: str | None) -> tuple[list[Panel], list[str]]:
    if kind is not None:
        return [store.panel(kind)], []
    first = store.panels[0]
    alike = [
        panel
        for panel in store.panels
        if (len(panel.layers), panel.heads) == (len(first.layers), first.heads)
    ]
    shown = alike if view != "neuron" else [first]
    left_out = [panel.kind for panel in store.panels if panel not in shown]
    if not left_out:
        return shown, []
    why = "shows one kind at a time" if view == "neuron" else "wants equal layers and heads"
    return shown, [
        f"bertviz's {view} view {why}: {', '.join(left_out)} attention left out (--kind picks)"
    ]


def _height(panels: list[Panel], view: str) -> int:
    """Room for what bertviz draws, in px: a line a token, or a row of thumbnails a layer and one
    enlarged beside them."""
    longest = max(max(len(panel.rows), len(panel.columns)) for panel in panels)
    if view == "head":
        return 90 + round(22.5 * longest)
    thumbnail = 7 * 12 / panels[0].heads * longest + 10
    return 130 + round(max(len(panels[0].layers) * thumbnail, 18 * longest + 20))


def _map_parameters(panels: list[Panel], view: str, layer: int) -> dict[str, Any]:
    """What head_view.js and model_view.js read."""
    layers, heads = len(panels[0].layers), panels[0].heads
    data = [
        {
            "name": _NAMES[panel.kind],
            "left_text": panel.rows,
            "right_text": panel.columns,
            "attn": [
                [_rounded(one.weights(head)) for head in range(heads)] for one in panel.layers
            ],
        }
        for panel in panels
    ]
    parameters = {
        "attention": data,
        "default_filter": "0",
        "root_div_id": "bertviz",
        "include_layers": list(range(layers)),
    }
    if view == "head":
        return parameters | {"layer": layer, "heads": None}
    return parameters | {
        "display_mode": "light",
        "include_heads": list(range(heads)),
        "total_heads": heads,
    }


def _neuron_parameters(panel: Panel, layer: int, head: int) -> dict[str, Any]:
    """What neuron_view.js reads. It divides q·k by √K: queries are scaled so that its scores are
    the model's own."""
    attention: dict[str, Any] = {
        "left_text": panel.rows,
        "right_text": panel.columns,
        "attn": [],
        "queries": [],
        "keys": [],
    }
    causal = False
    for one in panel.layers:
        if isinstance(one, MapLayer):
            raise AttentionError(
                "this model shows its weights only, not the queries and keys they come from; "
                "choose another view"
            )
        factor = one.scaling * one.query.shape[-1] ** 0.5
        group = panel.heads // one.key.shape[0]
        maps = [one.weights(number) for number in range(panel.heads)]
        causal = causal or (
            panel.kind != "cross" and all(bool((m.triu(1) == 0).all()) for m in maps)
        )
        attention["attn"].append([_rounded(m) for m in maps])
        attention["queries"].append(
            [_rounded(one.query[number].float() * factor) for number in range(panel.heads)]
        )
        attention["keys"].append(
            [_rounded(one.key[number // group].float()) for number in range(panel.heads)]
        )
    return {
        "attention": {"all": attention},
        "default_filter": "all",
        "root_div_id": "bertviz",
        "display_mode": "light",
        "bidirectional": not causal,
        "layer": layer,
        "head": head,
    }


def _rounded(values: Any) -> list[list[float]]:
    """Rows of numbers with four decimals; whole ones as whole numbers, which are shorter."""
    rows = values.double().cpu().nan_to_num(0.0).tolist()
    return [[0 if abs(value) < 5e-5 else round(value, _DIGITS) for value in row] for row in rows]


def _controls(panels: list[Panel], view: str) -> list[tuple[str, str, list[str]]]:
    """(label, element, choices) of what is chosen above a map; bertviz fills in the layers
    itself."""
    layers = [("Layer", "layer", [])] if view == "head" else []
    kinds = (
        [("Attention", "filter", [_NAMES[panel.kind] for panel in panels])]
        if len(panels) > 1
        else []
    )
    return [*layers, *kinds]


def _scripts() -> tuple[list[str], list[str]]:
    """d3 and jQuery as installed, and the addresses of those that are not."""
    found = {
        name: next(
            (text for provider in providers if (text := _installed(*provider)) is not None), None
        )
        for name, providers in _PROVIDERS.items()
    }
    return [text for text in found.values() if text is not None], [
        _CDN[name] for name, text in found.items() if text is None
    ]


def _installed(distribution: str, path: str) -> str | None:
    try:
        file = metadata.distribution(distribution).locate_file(path)
        return file.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    except (metadata.PackageNotFoundError, OSError):
        return None
