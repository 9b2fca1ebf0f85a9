import base64
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magics.display.html import css, el, fragment, frame, image, new_id, page, render, user_text

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "javascript:alert(3)",
    "' onmouseover='alert(4)",
    "<svg onload=alert(5)>",
    "&lt;b&gt;",
    "\x1b]8;;http://x\x07",
]


class Shown(HTMLParser):
    """What a browser would see: tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_text_and_attributes_never_become_markup(text):
    shown = Shown(render(el("p", {"title": text}, user_text(text), el("b", {}, text))))
    assert shown.tags == ["p", "bdi", "b"]
    assert {name for name, _ in shown.attributes} == {"title", "dir"}
    assert shown.text == 2 * text.replace("\x1b", "\ufffd").replace("\x07", "\ufffd")


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_comes_back_as_text_and_can_be_encoded(text):
    html = render(el("p", {"title": text}, text))
    assert html.encode("utf-8")
    assert Shown(html).tags == ["p"]


def test_surrogates_and_nul_become_replacement_characters():
    assert render(el("p", {}, "a\ud800b\x00c")) == "<p>a\ufffdb\ufffdc</p>"


@pytest.mark.parametrize(
    "tag", ["script", "iframe", "object", "svg", "style", "form", "math", "b onclick=x"]
)
def test_tags_that_are_not_listed_are_refused(tag):
    with pytest.raises(ValueError, match="not on the list of tags"):
        el(tag)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("onclick", "x()"),
        ("data-commandlinker-command", "x"),
        ("srcdoc", "x"),
        ("a b", "x"),
        ("href", "javascript:alert(1)"),
        ("href", "http://example.org"),
        ("src", "https://example.org/a.png"),
        ("src", "data:text/html;base64,AA=="),
        ("class", "jp-Cell"),
        ("class", "lm-Widget x"),
        ("id", "config"),
        ("class", "a\njp-Cell"),
    ],
)
def test_attributes_outside_the_lists_are_refused(name, value):
    with pytest.raises(ValueError, match="attribute"):
        el("a", {name: value})


@pytest.mark.parametrize(
    "style",
    [
        "background:url(https://example.org/x)",
        "width:expression(alert(1))",
        "color:red}body{x:y",
        "color:</style>",
        "background:image-set(x)",
        "color:\\75rl(x)",
        "x y:1px",
        "background:src(x)",
        "behavior:x",
    ],
)
def test_styles_that_could_load_or_run_are_refused(style):
    with pytest.raises(ValueError, match="style"):
        el("p", {"style": style})


def test_a_style_is_written_as_given():
    assert render(el("p", {"style": {"color": "var(--jp-x, rgba(1,2,3,.5))"}})) == (
        '<p style="color:var(--jp-x, rgba(1,2,3,.5))"></p>'
    )
    assert (
        render(el("p", {"style": "margin: 0 auto; color:red"}))
        == '<p style="margin:0 auto;color:red"></p>'
    )


def test_a_style_sheet_reaches_one_output_only():
    name = new_id()
    assert render(css([(f"#{name} .a:hover,#{name} .r:has(.b:hover) .c", {"color": "red"})])) == (
        f"<style>#{name} .a:hover,#{name} .r:has(.b:hover) .c{{color:red}}</style>"
    )
    for selector in [
        "body",
        ".a",
        f"#{name} .a, body",
        f"#{name} </style>",
        f"#{name} a[x=y]",
        f"#{name} {{}} body",
    ]:
        with pytest.raises(ValueError, match="selector"):
            css([(selector, {"color": "red"})])


def test_children_and_none():
    assert render(fragment("a", None, 1, el("br"), 2.5)) == "a1<br>2.5"
    with pytest.raises(ValueError, match="cannot hold"):
        el("br", {}, "x")


def test_a_picture_is_inside_the_page():
    html = render(image(b"<svg/>", "image/svg+xml", 'a "picture"', 40))
    assert base64.b64encode(b"<svg/>").decode() in html
    assert 'alt="a &quot;picture&quot;"' in html
    assert "width:40px" in html
    with pytest.raises(ValueError, match="attribute src"):
        image(b"x", "text/html", "x")


def test_ids_differ():
    assert len({new_id() for _ in range(1000)}) == 1000


def test_a_page_in_a_frame_is_an_escaped_attribute_and_stands_apart():
    shown = render(frame('<script>"</iframe>"</script>', 'a "title"', 120))
    assert shown.count("<iframe ") == shown.count("</iframe>") == 1
    assert 'sandbox="allow-scripts"' in shown
    assert "<script>" not in shown
    assert "height:120px" in shown


def test_a_page_keeps_data_as_text_and_may_load_nothing():
    text = page("<i>", style="p{}", module="const a = 1 < 2;", data='{"a": "</script><script>"}')
    assert "<title>&lt;i&gt;</title>" in text
    assert "const a = 1 < 2;" in text
    assert text.count("<script") == text.count("</script>") == 2
    assert r"\u003c/script>\u003cscript>" in text
    assert "default-src &#x27;none&#x27;" in text
    with pytest.raises(ValueError, match="end tag"):
        page("", style="", module="'</script>'", data="{}")


def test_a_page_of_scripts_loads_only_what_it_is_told_and_its_data_stay_text():
    shown = page(
        "t",
        style="p{}",
        data='{"a": "</script><b>"}',
        scripts=["let a = 1;"],
        remote=["https://cdn.example/d3.js"],
    )
    assert shown.index('https://cdn.example/d3.js"></script>') < shown.index("let a = 1;")
    assert "script-src &#x27;unsafe-inline&#x27; https://cdn.example/d3.js;" in shown
    assert "</script><b>" not in shown
    with pytest.raises(ValueError, match="end tag"):
        page("t", style="", data="{}", scripts=["a = '</script>'"])
    with pytest.raises(ValueError, match="https://"):
        page("t", style="", data="{}", remote=["javascript:alert(1)"])
