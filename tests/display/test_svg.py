from xml.etree import ElementTree

import pytest

from llm_magics.display.charts.svg import label, picture, shape


def test_hostile_text_is_still_one_well_formed_picture():
    text = "</text><script>x</script>\x00\ud800\ufffe\uffff&"
    root = ElementTree.fromstring(picture(10, 10, text, label(text, 1, 2)))
    assert [node.tag.rpartition("}")[2] for node in root] == ["title", "text"]
    assert root[1].text == "</text><script>x</script>" + 4 * "\ufffd" + "&"


@pytest.mark.parametrize(
    ("tag", "attributes"),
    [
        ("script", {}),
        ("foreignObject", {}),
        ("a", {}),
        ("rect", {"onload": "x"}),
        ("rect", {"fill": "url(https://x)"}),
        ("image", {"href": "https://example.org/x.png"}),
        ("image", {"href": "data:image/svg+xml;base64,AA=="}),
    ],
)
def test_what_could_run_or_load_is_refused(tag, attributes):
    with pytest.raises(ValueError, match="SVG"):
        shape(tag, attributes)
