import base64
import re
from xml.etree import ElementTree

from llm_magics.display.charts.curve import Series, small_charts_svg
from llm_magics.display.html import render
from llm_magics.display.training import Charts, training_node

NS = "{http://www.w3.org/2000/svg}"


def pictures(html):
    return [
        ElementTree.fromstring(base64.b64decode(data))
        for data in re.findall(r"svg\+xml;base64,([^\"]+)", html)
    ]


def texts(picture):
    return [node.text for node in picture.iter(f"{NS}text")]


def test_one_run_shows_loss_metrics_with_their_last_values_and_samples():
    charts = Charts(
        "play",
        [("", Series("train", [1, 2], [2, 1])), ("", Series("validation", [2], [1.5]))],
        [("", Series("exact_match", [1, 2], [0.5, 0.75]))],
        {"": [["a <b>", "c", ""]]},
    )
    html = render(training_node(charts, "all in one line"))
    loss, metrics = pictures(html)
    assert {"play", "train 1", "validation 1.5"} <= set(texts(loss))
    assert "exact match 0.75" in texts(metrics)
    assert 'alt="all in one line"' in html
    assert "a &lt;b&gt;" in html
    assert "expected" not in html, "without expected texts there is no such column"


def test_several_runs_have_a_colour_each_and_are_named_once():
    charts = Charts(
        "two",
        [(run, Series(name, [1, 2], [2, 1])) for run in "ab" for name in ("train", "validation")],
        [(run, Series("bleu", [1, 2], [1, 2])) for run in "ba"],
    )
    loss, metrics = pictures(render(training_node(charts, "")))
    colours = [path.get("stroke") for path in loss.iter(f"{NS}path")]
    assert len(set(colours)) == len(colours) == 2, (
        "beside a validation loss, the training loss is left out"
    )
    assert [text for text in texts(loss) if re.fullmatch(r"[ab] \d.*", text)] == ["a 1", "b 1"]
    assert {"a 2", "b 2"} <= set(texts(metrics))
    assert [path.get("stroke") for path in metrics.iter(f"{NS}path")] == colours[::-1]


def test_a_run_without_validation_is_compared_by_its_training_loss():
    charts = Charts(
        loss=[("a", Series("train", [1, 2], [2, 1])), ("b", Series("validation", [1, 2], [3, 2]))]
    )
    (loss,) = pictures(render(training_node(charts, "")))
    assert {"a 1", "b 2"} <= set(texts(loss))


def test_runs_that_were_asked_the_same_share_a_table():
    same = {"a": [["in", "out of a", "right"]], "b": [["in", "out of b", "right"]]}
    html = render(training_node(Charts(samples=same), ""))
    assert html.count("<table") == 1
    heads = re.findall(r"<th [^>]*>(.*?)</th>", html)
    assert heads == ["given", "predicted by a", "predicted by b", "expected"]
    other = render(training_node(Charts(samples={**same, "c": [["else", "out of c", ""]]}), ""))
    assert other.count("<table") == 3
    assert "samples of c" in other


def test_nothing_yet_is_one_picture_that_says_so():
    (loss,) = pictures(render(training_node(Charts("x"), "x: running")))
    assert "no values yet" in texts(loss)


def test_small_charts_stay_in_their_cells():
    names = ["one", "two", "three"]
    charts = {name: [Series("", [1, 2, 3], [3.0, 1.0, 2.0])] for name in names}
    root = ElementTree.fromstring(small_charts_svg(charts, title=""))
    assert root.get("width") == "640"
    height = int(root.get("height"))
    paths = [
        [tuple(map(float, point.split())) for point in re.split("[ML]", path.get("d"))[1:]]
        for path in root.iter(f"{NS}path")
    ]
    for i, path in enumerate(paths):
        left, top = i % 2 * 320, i // 2 * height / 2
        assert all(left <= x <= left + 320 and top <= y <= top + height / 2 for x, y in path)
        assert path[0][1] < path[2][1] < path[1][1]
    assert [text for text in texts(root) if text in names] == names
