"""HTML as a tree of nodes: text is always text, and only tags, attributes and styles on a list get
out.

>>> render(el("p", {"class": "llm-note"}, "1 < 2"))
'<p class="llm-note">1 &lt; 2</p>'

Outputs of the user's own kernel are trusted by Jupyter: its sanitizer does not stand behind us. A
tag, attribute, style or selector outside the lists below is a mistake in our code and raises
`ValueError`.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Sequence
from html import escape

from llm_magics.errors import printable

__all__ = [
    "Node",
    "as_data",
    "css",
    "el",
    "fragment",
    "frame",
    "image",
    "new_id",
    "render",
    "user_text",
]

Style = dict[str, str]

_TAGS = frozenset(
    {
        "a",
        "b",
        "bdi",
        "br",
        "caption",
        "code",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "h3",
        "h4",
        "hr",
        "img",
        "kbd",
        "li",
        "mark",
        "ol",
        "p",
        "pre",
        "section",
        "small",
        "span",
        "strong",
        "summary",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    }
)
_VOID = frozenset({"br", "hr", "img", "meta"})
_ATTRIBUTES = frozenset(
    {
        "alt",
        "class",
        "colspan",
        "dir",
        "height",
        "href",
        "id",
        "lang",
        "open",
        "role",
        "rowspan",
        "scope",
        "src",
        "style",
        "tabindex",
        "title",
        "width",
    }
)
_DATA_OR_ARIA = re.compile(r"(?:aria|data)-[a-z][a-z0-9-]*")
_CLASSES = re.compile(r"(?!jp-|lm-|p-)[A-Za-z][\w-]*(?: (?!jp-|lm-|p-)[A-Za-z][\w-]*)*", re.ASCII)
_ID = re.compile(r"llm-[a-z0-9-]+")
_IMAGE_SOURCE = re.compile(r"data:image/(?:png|svg\+xml);base64,[A-Za-z0-9+/]*={0,2}")
_LINK = re.compile(r"(?:#|https://)[^\s\"'<>\\]*")
_PROPERTY = re.compile(r"(?:--llm-)?[a-z][a-z0-9-]*")
_VALUE = re.compile(r"[\w\s.,%#()+*/-]*", re.ASCII)
_FUNCTION = re.compile(r"([\w-]*)\(", re.ASCII)
_FUNCTIONS = frozenset(
    {
        "",
        "calc",
        "clamp",
        "color-mix",
        "hsl",
        "hsla",
        "linear-gradient",
        "max",
        "min",
        "minmax",
        "repeat",
        "rgb",
        "rgba",
        "var",
    }
)
_SELECTOR = re.compile(r"#llm-[a-z0-9-]+(?:[\w\s.:()>+~*-]|#llm-)*", re.ASCII)


class Node:
    """One element, or a run of elements when `tag` is empty. Made by `el`, `fragment`, `css` and
    `image`."""

    __slots__ = ("attributes", "children", "tag")

    def __init__(
        self, tag: str, attributes: dict[str, str], children: tuple[Node | str, ...]
    ) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children = children

    def __repr__(self) -> str:
        return f"<Node {render(self)!r}>"


class _Verbatim(Node):
    """The one node whose text is not escaped: style sheets that `css` makes from checked parts, and
    what `page` holds."""

    __slots__ = ()


def el(
    tag: str, attrs: dict[str, object] | None = None, *children: Node | str | float | None
) -> Node:
    """The element `tag` with `attrs` and `children`; a child that is no `Node` is text, None is
    left out.

    `style` may be a string or a dict of property → value. Raises `ValueError` for a tag, attribute
    or value that is not on the lists of this module.
    """
    if tag not in _TAGS:
        raise ValueError(f"tag {tag!r} is not on the list of tags that may be shown")
    if tag in _VOID and children:
        raise ValueError(f"<{tag}> cannot hold children, {len(children)} given")
    checked = {
        name: _attribute(name, value) for name, value in (attrs or {}).items() if value is not None
    }
    return Node(tag, checked, _children(children))


def fragment(*children: Node | str | float | None) -> Node:
    """Several nodes one after the other, with no element around them."""
    return Node("", {}, _children(children))


def render(node: Node) -> str:
    """The HTML text of `node`."""
    parts: list[str] = []
    _write(node, parts)
    return "".join(parts)


def as_data(node: Node) -> list:
    """`node` as [tag, attributes, children] for a widget, which makes elements of it; a child is
    such a list or text."""
    return [
        node.tag,
        node.attributes,
        [as_data(child) if isinstance(child, Node) else child for child in node.children],
    ]


def user_text(text: object, style: Style | None = None) -> Node:
    """Text somebody else wrote, kept from turning the direction of what stands around it."""
    return el("bdi", {"dir": "auto", "style": style} if style else {"dir": "auto"}, str(text))


def css(rules: list[tuple[str, Style]]) -> Node:
    """A style sheet. Every selector must begin with `#llm-…`, so that it reaches one output
    only."""
    lines = []
    for selector, declarations in rules:
        for part in _split_selectors(selector):
            if not _SELECTOR.fullmatch(part):
                raise ValueError(
                    f"selector {part!r} must begin with #llm-… and hold only names, :, (, ), >, "
                    "+, ~, *"
                )
        lines.append(f"{selector}{{{_declarations(declarations)}}}")
    return _Verbatim("style", {}, ("\n".join(lines),))


def image(data: bytes, mime: str, alt: str, width_px: int | None = None) -> Node:
    """A picture inside the page. `mime`: "image/png" or "image/svg+xml"; scripts in an SVG never
    run in `<img>`."""
    source = f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"
    style = {"max-width": "100%", "height": "auto", "display": "block", "margin": "0"}
    if width_px is not None:
        style["width"] = f"{int(width_px)}px"
    return el("img", {"src": source, "alt": alt, "style": style})


def frame(document: str, title: str, height_px: int) -> Node:
    """A whole page of its own, whose scripts run apart from the notebook: no cookies, no access to
    what is around it."""
    attributes = {
        "srcdoc": printable(document),
        "sandbox": "allow-scripts",
        "title": printable(title),
        "style": f"border:0;width:100%;height:{int(height_px)}px",
    }
    return Node("iframe", attributes, ())


def page(
    title: str,
    *,
    style: str,
    data: str,
    module: str = "",
    scripts: Sequence[str] = (),
    remote: Sequence[str] = (),
) -> str:
    """A whole page that runs `scripts` one after the other and then the ES module `module`, of ours
    or of an installed package, and may load nothing but the scripts at the addresses `remote`: its
    policy allows no other request.

    `data` is JSON text, found in the page under the id `llm-data`; any markup in it stays text.
    Raises `ValueError` for a script or style that would end its own element.
    """
    for name, text in (
        ("module", module),
        ("style", style),
        *(("script", script) for script in scripts),
    ):
        if "</" in text and re.search(r"</(?:script|style)", text, re.IGNORECASE):
            raise ValueError(f"the {name} of a page holds an end tag of its own element")
    if not all(_LINK.fullmatch(address) for address in remote):
        raise ValueError(
            f"addresses that begin with https:// expected, {', '.join(remote)[:200]} given"
        )
    allowed = " ".join(["'unsafe-inline'", *remote])
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"
    )
    head = Node(
        "head",
        {},
        (
            Node("meta", {"charset": "utf-8"}, ()),
            Node("meta", {"http-equiv": "Content-Security-Policy", "content": policy}, ()),
            Node(
                "meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}, ()
            ),
            Node("title", {}, (printable(title),)),
            _Verbatim("style", {}, (style,)),
        ),
    )
    body = Node(
        "body",
        {},
        (
            _Verbatim(
                "script",
                {"type": "application/json", "id": "llm-data"},
                (data.replace("<", "\\u003c"),),
            ),
            *(Node("script", {"src": address}, ()) for address in remote),
            *(_Verbatim("script", {}, (script,)) for script in scripts),
            *([_Verbatim("script", {"type": "module"}, (module,))] if module else []),
        ),
    )
    return "<!doctype html>\n" + render(Node("html", {}, (head, body)))


def new_id() -> str:
    """An element id that no other output has."""
    return f"llm-{secrets.token_hex(4)}"


def _children(children: tuple[object, ...]) -> tuple[Node | str, ...]:
    return tuple(
        child if isinstance(child, Node) else printable(child)
        for child in children
        if child is not None
    )


def _attribute(name: str, value: object) -> str:
    if (name not in _ATTRIBUTES and not _DATA_OR_ARIA.fullmatch(name)) or name.startswith(
        "data-commandlinker"
    ):
        raise ValueError(f"attribute {name!r} is not on the list of attributes that may be shown")
    if name == "style":
        return _declarations(value if isinstance(value, dict) else _parse_style(str(value)))
    text = printable(value)
    rule = {"class": _CLASSES, "id": _ID, "src": _IMAGE_SOURCE, "href": _LINK}.get(name)
    if rule is not None and not rule.fullmatch(text):
        raise ValueError(f"attribute {name}={text[:80]!r} does not match {rule.pattern}")
    return text


def _parse_style(text: str) -> Style:
    pairs = (part.partition(":") for part in text.split(";") if part.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _declarations(style: Style) -> str:
    for name, value in style.items():
        functions = set(_FUNCTION.findall(value.lower()))
        if (
            not _PROPERTY.fullmatch(name)
            or not _VALUE.fullmatch(value)
            or not functions <= _FUNCTIONS
        ):
            raise ValueError(
                f"style {name}: {value[:80]} is not allowed: plain values and "
                f"{sorted(_FUNCTIONS - {''})}"
            )
        if name in {"behavior", "-moz-binding"} or "expression" in value.lower():
            raise ValueError(f"style {name}: {value[:80]} is not allowed")
    return ";".join(f"{name}:{value}" for name, value in style.items())


def _split_selectors(selector: str) -> list[str]:
    """Parts between the commas that stand outside parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", selector)]


def _write(node: Node, parts: list[str]) -> None:
    if node.tag:
        attributes = "".join(
            f' {name}="{escape(value)}"' for name, value in node.attributes.items()
        )
        parts.append(f"<{node.tag}{attributes}>")
    for child in node.children:
        if isinstance(child, Node):
            _write(child, parts)
        else:
            parts.append(child if isinstance(node, _Verbatim) else escape(child, quote=False))
    if node.tag and node.tag not in _VOID:
        parts.append(f"</{node.tag}>")
