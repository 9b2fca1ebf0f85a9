"""Open text as a task: chat or continuation, whose settings count, candidates, rows, and what is
shown."""

from __future__ import annotations

import itertools
import json

import pytest

from llm_magics.display.html import render
from llm_magics.errors import EmptyInput, InputError, WrongTask
from llm_magics.rows.rows import RowError, Rows
from llm_magics.tasks.generate.task import generate, generate_each

TEXT = "The cat sat on the mat."


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_builders):
    """A causal model without a chat format, whose authors set nothing."""
    folder = tiny_builders["llama"](tmp_path_factory.mktemp("base") / "base", None)
    place = folder / "generation_config.json"
    settings = json.loads(place.read_text())
    for name in ("do_sample", "temperature", "top_p"):
        del settings[name]
    place.write_text(json.dumps(settings))
    return str(folder)


def write(manager, model, text=TEXT, **options):
    return generate(text, manager=manager, model=model, **{"max_tokens": 12, **options})


def settings(found):
    return tuple(found.provenance.parameters[name] for name in ("temperature", "top_p", "top_k"))


def test_whose_settings_count(manager, tiny, base):
    assert settings(write(manager, tiny("llama"))) == (0.7, 0.9, 0)  # its authors'
    assert settings(write(manager, tiny("llama"), top_k=5)) == (0.7, 0.9, 5)
    assert settings(write(manager, base)) == (0.8, 0.95, 0)  # nobody's: a causal model draws
    assert settings(write(manager, base, top_k=5)) == (1.0, 1.0, 5)
    assert settings(write(manager, tiny("t5"))) == (
        0.0,
        1.0,
        0,
    )  # nobody's: an encoder-decoder model does not
    assert settings(write(manager, tiny("t5"), n=2)) == (0.8, 0.95, 0)
    assert settings(write(manager, tiny("llama"), temperature=0, top_k=5)) == (0.0, 1.0, 0)


def test_a_seed_that_was_not_given_is_told_and_makes_the_text_again(manager, base):
    found = write(manager, base)
    assert f"seed {found.provenance.seed}" in found.plain()
    assert f"seed {found.provenance.seed}" in render(found.node())
    assert write(manager, base, seed=found.provenance.seed).text == found.text
    assert {write(manager, base).provenance.seed for _ in range(3)} != {found.provenance.seed}
    assert write(manager, base, temperature=0).provenance.seed is None


def test_a_chat_model_is_asked_in_its_format_and_a_conversation_goes_on(manager, tiny):
    first = write(manager, tiny("llama"), system="Be short.", seed=1)
    assert first.kind == "chat"
    assert [message["role"] for message in first.messages] == ["system", "user", "assistant"]
    assert first.messages[2]["content"] == first.text == first.text.strip()
    second = write(manager, tiny("llama"), "And the dog?", seed=1, reply_to=first)
    assert list(second.messages[:4]) == [
        *first.messages,
        {"role": "user", "content": "And the dog?"},
    ]
    assert (
        second.text != write(manager, tiny("llama"), "And the dog?", seed=1).text
    )  # what came before counts
    other = write(manager, tiny("llama"), "And?", seed=1, reply_to=first, system="Be long.")
    assert [message["content"] for message in other.messages if message["role"] == "system"] == [
        "Be long."
    ]
    with pytest.raises(InputError, match="does not continue its question"):
        first.continued()


def test_raw_text_goes_on_also_with_a_chat_model(manager, tiny):
    found = write(manager, tiny("llama"), raw=True, seed=1)
    assert found.kind == "continuation"
    assert found.continued() == TEXT + found.text
    on = write(manager, tiny("llama"), " A dog", raw=True, seed=1, reply_to=found)
    assert on.continued() == found.continued() + " A dog" + on.text
    with pytest.raises(InputError, match="reply_to is the result of a continuation"):
        write(manager, tiny("llama"), "And?", reply_to=found)


def test_an_encoder_decoder_model_answers(manager, tiny):
    found = write(manager, tiny("t5"))
    assert (found.kind, found.messages) == ("answer", ())
    assert "greedy" in found.plain()


def test_candidates_stand_side_by_side_each_with_its_ending(manager, base):
    found = write(manager, base, n=3, seed=4)
    assert len(found) == 3
    assert found[0].text == found.text == write(manager, base, seed=4).text
    shown = render(found.node())
    for number, one in enumerate(found, 1):
        assert f"[{number}: {one.ending()}]" in found.plain()
        assert one.ending() in shown
    assert list(found.to_pandas().finish) == [one.finish for one in found]
    assert found.provenance.tokens == sum(one.tokens for one in found)
    assert found.continued(2) == TEXT + found[2].text
    with pytest.raises(InputError, match="no candidate 3 to go on with; there are 3"):
        found.continued(3)


def test_a_stop_string_is_named_as_the_reason(manager, base):
    whole = write(manager, base, seed=4, max_tokens=30)
    found = write(manager, base, seed=4, max_tokens=30, stop_strings=whole.text[6:9])
    assert found.text == whole.text.split(whole.text[6:9])[0]
    assert f"stopped at {whole.text[6:9]!r}" in found.plain()


def test_markup_in_prompt_and_text_is_shown_as_text(manager, base):
    shown = render(write(manager, base, "<b>cat</b> <img src=x onerror=alert(1)>").node())
    assert "<b>cat" not in shown
    assert "<img" not in shown


def test_progress_tells_of_every_candidate(manager, base, monkeypatch):
    from llm_magics.models.generate import types

    monkeypatch.setattr(types.Throttle, "due", lambda self: True)
    told = []
    found = write(manager, base, n=2, seed=1, on_progress=told.append)
    assert told[-1].texts == tuple(one.text for one in found)
    assert all(later.text.startswith(earlier.text) for earlier, later in itertools.pairwise(told))
    assert TEXT in render(told[-1].node())


def test_an_interrupt_keeps_what_there_is(manager, base):
    asked = []
    found = write(
        manager, base, seed=1, max_tokens=200, stop=lambda: asked.append(1) or len(asked) > 8
    )
    assert found.interrupted
    assert found.text
    assert found[0].finish == "interrupted"
    assert "interrupted" in render(found.node())


def test_rows_have_seeds_of_their_own_and_a_bad_row_stops_no_other(manager, base):
    rows = [TEXT, "", None, "a dog " * 300, TEXT]
    found = generate_each(rows, manager=manager, model=base, seed=10, max_tokens=8)
    assert [isinstance(one, RowError) for one in found] == [False, True, True, True, False]
    assert [one.provenance.seed for one in (found[0], found[4])] == [10, 14]
    assert found[0].text == write(manager, base, seed=10, max_tokens=8).text
    assert found[4].text == write(manager, base, seed=14, max_tokens=8).text
    assert found[4].text != found[0].text


def test_rows_that_a_stop_cut_off_are_left_out(manager, base):
    asked = []  # once for every row that is read, then for every token
    found = generate_each(
        [TEXT] * 40,
        manager=manager,
        model=base,
        seed=1,
        max_tokens=4,
        stop=lambda: asked.append(1) or len(asked) > 40 + 12,
    )
    assert 0 < len(found) < 40
    assert not any(getattr(one, "interrupted", False) for one in found)


def test_rows_are_written_to_a_file_and_resumed(manager, base, tmp_path):
    place = tmp_path / "written.jsonl"
    options = {"manager": manager, "model": base, "seed": 3, "max_tokens": 5}
    generate_each([TEXT, "A dog"], out_file=place, **options)
    again = generate_each([TEXT, "A dog", "We read"], out_file=place, resume=True, **options)
    assert isinstance(again, Rows)
    assert (len(again), again.resumed) == (3, 2)
    assert [record["text"] for record in again] == [
        one.text for one in generate_each([TEXT, "A dog", "We read"], **options)
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 0}, "n must be a whole number from 1 to 64"),
        ({"seed": -1}, "seed must be"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"temperature": "hot"}, "temperature must be"),
        ({"top_p": 0}, "top_p must be"),
        ({"stop_strings": ["a", ""]}, "a stop"),
        ({"n": 2, "temperature": 0}, "would all be the same"),
        ({"system": "x", "raw": True}, "leave system or raw out"),
        ({"reply_to": "earlier"}, "reply_to must be a result of generate, not a str"),
    ],
)
def test_what_has_no_meaning_is_refused_before_a_model_is_loaded(manager, options, said):
    with pytest.raises(InputError, match=said):
        generate(TEXT, manager=manager, model="./not-there", **options)


def test_models_that_write_no_open_text_are_refused(manager, tiny, base):
    for family in ("marian", "bert", "house"):
        with pytest.raises(WrongTask, match="choose a causal model"):
            write(manager, tiny(family))
    with pytest.raises(WrongTask, match="has no weights"):
        write(manager, "embedded:extractive")
    with pytest.raises(WrongTask, match="no chat format and takes no system message"):
        write(manager, base, system="Be short.")
    with pytest.raises(EmptyInput):
        write(manager, base, " \n")
