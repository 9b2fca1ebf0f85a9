"""The magics in a real kernel, spoken to over the protocol that notebooks use."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.slow


def html_of(output):
    return output["data"]["text/html"]


def test_a_quick_result_is_an_ordinary_cell_value(kernel, tiny_model):
    kernel.run(f"%models load {tiny_model}")
    reply, outputs, updates = kernel.run(f"%translate --to de --model {tiny_model} The cat sleeps.")
    assert reply["status"] == "ok"
    assert sum(output["kind"] in ("execute_result", "display_data") for output in outputs) == 1
    if outputs[0]["kind"] == "execute_result":  # a slow machine streams
        assert outputs[0]["metadata"]["llm_magics"]["model"] == str(tiny_model)
        assert updates == []


def test_a_long_text_streams_into_one_output_that_ends_as_the_result(kernel, tiny_model):
    text = "\n".join(f"The cat number {i} sleeps in the park." for i in range(3_000))
    reply, outputs, updates = kernel.run(
        f"%%translate --to de --out long --model {tiny_model}\n{text}"
    )
    assert reply["status"] == "ok"
    assert [output["kind"] for output in outputs] == ["display_data"], (
        "the result was shown a second time"
    )
    assert len(updates) >= 2
    assert "progressbar" in html_of(outputs[0])
    assert updates[-1]["metadata"]["llm_magics"]["model"] == str(tiny_model)
    assert "progressbar" not in html_of(updates[-1])
    _, outputs, _ = kernel.run("long")
    assert outputs[0]["kind"] == "execute_result"


def test_updates_come_at_most_ten_times_a_second(kernel, tiny_model):
    text = "\n".join(f"A dog number {i} runs in the park." for i in range(200))
    start_s = time.monotonic()
    _, _, updates = kernel.run(f"%%translate --to de --model {tiny_model}\n{text}")
    assert len(updates) <= 10 * (time.monotonic() - start_s) + 2


def test_markup_in_the_text_stays_text(kernel, tiny_model):
    _, outputs, updates = kernel.run(
        f"%translate --to de --model {tiny_model} <script>alert(1)</script> sleeps."
    )
    for output in [*outputs, *updates]:
        assert "<script" not in html_of(output)


def test_interrupting_keeps_what_there_is_and_the_model(kernel, tiny_model):
    text = "\n".join(
        f"The dog number {i} runs in the park where the cat sleeps." for i in range(4000)
    )
    interrupted = []

    def interrupt(outputs, updates):
        if outputs and not interrupted:
            interrupted.append(time.monotonic())
            kernel.manager.interrupt_kernel()

    message_id = kernel.start(
        f"%%translate --from en --to de --out part --model {tiny_model}\n{text}"
    )
    reply, outputs, updates = kernel.finish(message_id, until=interrupt)
    assert interrupted
    assert reply["status"] == "error"
    assert reply["ename"] == "Interrupted"
    error = outputs[-1]
    assert error["kind"] == "error"
    assert len(error["traceback"]) == 1
    assert "interrupted" in html_of((updates or outputs)[-1] if updates else outputs[0])
    reply, outputs, _ = kernel.run(
        f"%translate --quiet --out again --to de --model {tiny_model} The cat sleeps.\n"
        "from llm_magics import current_session\n"
        "print(current_session().manager.check(), bool(again.text))"
    )
    assert reply["status"] == "ok"
    assert outputs[-1]["text"].strip() == "[] True"


def test_a_usage_error_is_one_line_and_the_cell_fails(kernel):
    reply, outputs, _ = kernel.run("%translate --tp de hello")
    assert reply["status"] == "error"
    assert [output["text"].strip() for output in outputs] == [
        "UsageError: %translate: there is no option '--tp'; did you mean '--to'?"
    ]


def test_a_model_error_is_one_line_and_a_real_error_output(kernel, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"model_type": "marian"}')
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no")
    reply, outputs, _ = kernel.run(f"%translate --to de --model {tmp_path / 'broken'} hello")
    assert reply["status"] == "error"
    assert outputs[-1]["kind"] == "error"
    assert len(outputs[-1]["traceback"]) == 1


def test_rows_show_a_bar_and_then_a_table(kernel, tiny_model):
    kernel.run("rows = [f'The cat number {i} sleeps in the park.' for i in range(300)]")
    reply, outputs, _ = kernel.run(
        f"%translate --to de --each rows --out german --model {tiny_model}"
    )
    assert reply["status"] == "ok"
    assert outputs[-1]["kind"] == "execute_result"
    assert "300 rows" in outputs[-1]["data"]["text/plain"]
    assert "progressbar" not in html_of(outputs[-1])


def test_completion_through_the_kernel(kernel):
    message_id = kernel.client.complete("%translate --to d", 17)
    content = kernel.reply(message_id, time.monotonic() + 60)
    assert "de" in content["matches"]


def test_capture_holds_the_result(kernel, tiny_model):
    reply, outputs, _ = kernel.run(
        f"%%capture held\n%translate --to de --model {tiny_model} The cat sleeps."
    )
    assert reply["status"] == "ok"
    assert outputs == []
    _, outputs, _ = kernel.run("print(len(held.outputs))")
    assert outputs[0]["text"].strip() == "1"


def test_help_and_inspection_through_the_kernel(kernel):
    _, outputs, _ = kernel.run("%translate -h")
    assert "--to LANGUAGE" in outputs[0]["text"]
    message_id = kernel.client.inspect("%translate")
    content = kernel.reply(message_id, time.monotonic() + 60)
    assert "--to LANGUAGE" in content["data"]["text/plain"]
