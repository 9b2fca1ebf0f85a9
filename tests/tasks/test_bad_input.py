"""Bad input (sections C and D of the reliability study): one short message, nothing lost, the
manager usable afterwards."""

import importlib.util
import json
import math
from pathlib import Path

import pytest

from llm_magics.errors import (
    EndpointError,
    InputError,
    LLMMagicsError,
    ModelError,
    TooLong,
    printable,
)
from llm_magics.rows.rows import RowError
from llm_magics.tasks.ask.task import ask, ask_each
from llm_magics.tasks.generate.task import generate, generate_each
from llm_magics.tasks.predict import predict, predict_each
from llm_magics.tasks.summarize.task import summarize, summarize_each
from llm_magics.tasks.translate.batch import translate_each
from llm_magics.tasks.translate.task import translate

_spec = importlib.util.spec_from_file_location(
    "badly_behaved", Path(__file__).parents[1] / "models" / "badly_behaved.py"
)
bad = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bad)

CONTEXT = "The cat sleeps on the sofa. A dog runs in the park."
NAMES = [
    "translate",
    "translate remote",
    "summarize",
    "summarize extractive",
    "summarize remote",
    "ask extractive",
    "ask about",
    "ask remote",
    "predict",
    "predict masked",
    "generate",
    "generate remote",
]
EVERY = ["translate", "summarize", "ask", "predict", "generate"]
REMOTE = ["translate remote", "summarize remote", "ask remote", "generate remote"]


@pytest.fixture(scope="module")
def server():
    with bad.running() as server:
        yield server


@pytest.fixture
def tasks(manager, tiny, server):
    """Name -> the task on a text, with a small model that is really asked."""
    server.acts = [bad.echoes]
    manager.endpoint = server.url
    server.requests.clear()
    two = {"source": "en", "target": "de"}

    def with_model(work, family=None, **options):
        model = tiny(family) if family else "openai:tiny"
        return lambda text: work(text, manager=manager, model=model, **options)

    yield {
        "translate": with_model(translate, "marian", max_new_tokens=5),
        "translate remote": with_model(translate, **two),
        "summarize": with_model(summarize, "bart", max_words=6, language="en"),
        "summarize extractive": lambda text: summarize(text, language="en"),
        "summarize remote": with_model(summarize, language="en"),
        "ask extractive": lambda text: ask("Who sleeps?", text, language="en"),
        "ask about": lambda text: ask(text, CONTEXT),
        "ask remote": lambda text: ask(
            "Who sleeps?", text, manager=manager, model="openai:tiny", language="en"
        ),
        "predict": with_model(predict, "llama", count=2),
        "predict masked": with_model(predict, "bert", count=2),
        "generate": with_model(generate, "llama", max_tokens=4, seed=1),
        "generate remote": with_model(generate, seed=1),
    }
    manager.endpoint = None


@pytest.fixture
def every(manager, tiny, server):
    """Name -> the task on many rows."""
    server.acts = [bad.echoes]
    manager.endpoint = server.url

    def with_model(work, model, **options):
        return lambda rows: work(rows, manager=manager, model=model, **options)

    def build(model=None):
        return {
            "translate": with_model(
                translate_each, model or tiny("marian"), source="en", target="de", max_new_tokens=5
            ),
            "summarize": with_model(
                summarize_each, model or tiny("bart"), max_words=6, language="en"
            ),
            "ask": with_model(ask_each, model or "embedded:extractive", context=CONTEXT),
            "predict": with_model(predict_each, tiny("llama"), count=1),
            "generate": with_model(generate_each, model or tiny("llama"), max_tokens=3, seed=1),
        }

    yield build
    manager.endpoint = None


def one_line(work, *arguments, of=LLMMagicsError):
    """The message of the error that is raised: ours, one line, short, printable."""
    with pytest.raises(of) as caught:
        work(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert 10 < len(message) < 400
    assert message == printable(message)
    assert caught.value._render_traceback_() == [f"{type(caught.value).__name__}: {message}"]
    return message


def uses(manager):
    return {row.name: row.uses for row in manager.rows()}


# ---------------------------------------------------------------------- text in


@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_said_before_any_model_is_asked(tasks, manager, server, name):
    before = uses(manager)
    for nothing in ("", " \n\t\u3000", "\ufeff", None, 7, b"x", {"text": "x"}, math.nan):
        one_line(tasks[name], nothing, of=InputError)
    assert uses(manager) == before
    assert server.requests == []


@pytest.mark.parametrize("name", NAMES)
def test_ten_megabytes_are_refused_before_they_are_read(tasks, manager, server, name):
    before = uses(manager)
    for much in ("a" * 10_000_000, "word " * 2_000_000, " " * 10_000_000):
        assert "10,000,000 characters" in one_line(tasks[name], much, of=TooLong)
    assert uses(manager) == before
    assert server.requests == []


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_shown_becomes_a_mark_and_offsets_stay_right(tasks, manager, name):
    text = "\ufeffThe c\ud800at\x00 sle\x1b[31meps on\x9f the so\udfffa."
    shown = printable(text[1:])
    result = tasks[name](text)
    everything = [
        str(result),
        result.plain(),
        repr(result),
        json.dumps(result._repr_mimebundle_()[0], ensure_ascii=False),
    ]
    assert all(part == printable(part) for part in everything)
    if name.startswith("predict"):
        assert result.source_text == shown
        assert all(shown[token.start : token.end] == token.text for token in result.tokens)
    elif name in ("ask extractive", "ask remote"):
        assert result.context == shown
        assert all(
            shown[one.start : one.end] == one.text
            for answer in result.answers
            for one in answer.evidence
        )
    assert manager.check() == []


@pytest.mark.parametrize("name", REMOTE)
def test_directions_joiners_and_combining_marks_reach_the_model_unchanged(tasks, server, name):
    text = (
        "The \u202ecat\u202c 👩\u200d👩\u200d👧 sleeps\u2066 here\u2069, القط, "
        "c\u0301\u0302\u0303at."
    )
    tasks[name](text)
    assert any(text in body["messages"][-1]["content"] for body in server.bodies)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text",
    [
        "The cat <script>alert(1)</script></script><img src=x onerror=alert(1)> sleeps on it.",
        (
            'A dog"><svg onload=alert(1)> runs <a href="javascript:alert(1)" '
            'data-commandlinker-command="x">here</a> now.'
        ),
    ],
)
def test_markup_is_shown_and_never_interpreted(tasks, name, text):
    html5lib = pytest.importorskip("html5lib")
    result = tasks[name](text)
    tree = html5lib.parse(result._repr_mimebundle_()[0]["text/html"], namespaceHTMLElements=False)
    for node in tree.iter():
        assert (
            node.tag not in ("script", "svg", "iframe", "a") if isinstance(node.tag, str) else True
        )
        assert not [key for key in node.attrib if key.startswith("on") or "commandlinker" in key]
        assert "javascript:" not in node.attrib.get("src", "") + node.attrib.get("href", "")
    if name.endswith("remote") and name != "ask remote":
        assert "alert(1)" in result.text  # the echo, as it is


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text",
    [
        "{{ 7*7 }} {% for x in y %} ${z} %s {0} cat",
        "<s></s><pad><|user|><|assistant|> cat",
        "…?!",
        "x",
        "🙂",
        "1234567890",
        "c" + "\u0301" * 500,
        "\n" * 3000 + "cat",
    ],
)
def test_odd_texts_give_a_result_or_one_line(tasks, manager, name, text):
    found = []

    def work():
        found.append(tasks[name](text))
        raise TooLong("there was a result and no error")

    one_line(work, of=InputError)
    assert all(
        isinstance(result.text, str) and result._repr_mimebundle_()[0]["text/html"]
        for result in found
    )
    assert manager.check() == []


# ---------------------------------------------------------------------- many rows


@pytest.mark.parametrize("name", EVERY)
def test_bad_rows_have_an_error_and_the_others_are_done(every, name):
    rows = [
        "the cat",
        "",
        None,
        7,
        math.nan,
        b"x",
        "d\ud800og",
        "x" * 1_000_001,
        ["cat"],
        "a dog runs",
    ]
    found = every()[name](rows)
    assert len(found) == len(rows)
    failed = [i for i, row in enumerate(found) if isinstance(row, RowError)]
    # a list of questions is one row of ask
    assert failed in ([1, 2, 3, 4, 5, 7, 8], [1, 2, 3, 4, 5, 7])
    assert all(
        found[i].row == i and "\n" not in found[i].reason and len(found[i].reason) < 400
        for i in failed
    )
    assert found[0].text == every()[name](rows[:1])[0].text
    assert found[9].text is not None


@pytest.mark.parametrize("name", ["translate", "summarize", "ask", "generate"])
def test_a_row_the_endpoint_finds_too_long_is_an_error_of_that_row(every, server, name):
    def only_short(handler):
        if "LONG" in handler.body["messages"][-1]["content"]:
            return bad.refuses(400, "maximum context length is 8 tokens")(handler)
        return bad.echoes(handler)

    server.acts = [only_short]
    found = every("openai:tiny")[name](["the cat", "a LONG one", "a dog"])
    assert [isinstance(row, RowError) for row in found] == [False, True, False]
    assert "8 tokens" in found[1].reason


@pytest.mark.parametrize("name", ["translate", "summarize", "ask", "generate"])
def test_an_endpoint_that_fails_ends_the_work_in_one_line(every, manager, server, name):
    server.acts = [bad.refuses(401)]
    assert "401" in one_line(every("openai:tiny")[name], ["the cat", "a dog"], of=EndpointError)
    assert manager.check() == []
    server.acts = [bad.echoes]
    assert len(every("openai:tiny")[name](["the cat"])) == 1


# ---------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("work", "options"),
    [
        (summarize, {"max_words": 0}),
        (summarize, {"max_words": math.nan}),
        (summarize, {"max_words": True}),
        (summarize, {"max_words": 10**9}),
        (summarize, {"style": "haiku"}),
        (summarize, {"language": "klingon"}),
        (translate, {"target": "klingon"}),
        (translate, {"target": "de", "source": "\u202e"}),
        (translate, {}),
        (predict, {"count": 0}),
        (predict, {"count": 1e309}),
        (predict, {"count": "2"}),
        (generate, {"temperature": math.nan}),
        (generate, {"temperature": -1}),
        (generate, {"top_p": 0}),
        (generate, {"n": 0}),
        (generate, {"seed": -1}),
        (generate, {"max_tokens": 1.5}),
        (generate, {"stop_strings": [""]}),
    ],
)
def test_settings_without_meaning_are_one_line_before_any_model_is_loaded(manager, work, options):
    before = uses(manager)
    one_line(lambda: work("The cat sleeps.", manager=manager, **options), of=InputError)
    assert uses(manager) == before


# ---------------------------------------------------------------------- models


@pytest.fixture
def broken(tiny, tmp_path):
    """Kind -> a folder with something wrong, or a reference to nothing."""
    import shutil

    def copy(kind):
        return Path(shutil.copytree(tiny("marian"), tmp_path / kind.replace(" ", "-")))

    pickled, cut, code, outside, empty = (
        copy(kind) for kind in ("pickled", "cut", "code", "outside", "empty")
    )
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    whole = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    config = json.loads((code / "config.json").read_text())
    (code / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Evil"}}))
    (outside / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"a": "../pickled/x.safetensors"}}
    (outside / "model.safetensors.index.json").write_text(json.dumps(index))
    (empty / "config.json").write_text("")
    return {
        kind: str(tmp_path / kind)
        for kind in ("pickled", "cut", "code", "outside", "empty", "missing")
    } | {
        "prefix": "embeded:en-de",
        "address": "http://169.254.169.254/model",
        "endless": "a/" * 60 + "b",
        "markup": "<img src=x>",
        "control": "a\x00b",
        "nothing": " ",
        "endpoint": "openai:<x>",
    }


@pytest.mark.parametrize("name", ["translate", "summarize", "ask", "predict", "generate"])
def test_models_that_are_not_right_are_one_line_and_leave_nothing_behind(manager, broken, name):
    work = {
        "translate": lambda model: translate("The cat.", manager=manager, model=model, target="de"),
        "summarize": lambda model: summarize(
            "The cat.", manager=manager, model=model, language="en"
        ),
        "ask": lambda model: ask("Who?", CONTEXT, manager=manager, model=model),
        "predict": lambda model: predict("The cat.", manager=manager, model=model),
        "generate": lambda model: generate("The cat.", manager=manager, model=model),
    }[name]
    before = uses(manager)
    for model in broken.values():
        one_line(work, model, of=ModelError)
    assert uses(manager) == before
    assert manager.check() == []
