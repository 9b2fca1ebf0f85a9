"""%generate and %%generate as a user types them."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    """The folder of a small language model of our own, with random weights."""
    import torch

    from llm_magics.models.folder.native import save_native
    from llm_magics.nn import CausalLanguageModel
    from llm_magics.training.data.tokenizer import train_tokenizer
    from llm_magics.training.recipe.recipe import Tokenizer

    raw = train_tokenizer(
        ["the cat sleeps on the sofa\nand the dog too", "a bee"],
        Tokenizer(kind="char", vocab_size=40),
    )
    arguments = {
        "vocab_size": raw.get_vocab_size(),
        "d_model": 16,
        "nhead": 2,
        "num_layers": 1,
        "dim_feedforward": 32,
    }
    torch.manual_seed(0)
    module = CausalLanguageModel(**arguments)
    with torch.no_grad():
        module.generator.bias[2] -= 12  # it does not end at once
    return str(
        save_native(
            tmp_path_factory.mktemp("writer") / "letters",
            module,
            arguments=arguments,
            task="language-model",
            source_tokenizer=raw,
            trained_tokens=32,
        )
    )


def test_line_and_cell_give_the_same_with_a_seed(cells, writer):
    line = cells.run(f"%generate --model {writer} --seed 7 --max-tokens 30 the cat")
    cell = cells.run(f"%%generate --model {writer} --seed 7 --max-tokens 30 --out kept\nthe cat\n")
    assert line.text == cell.text
    assert cells.shell.user_ns["kept"] is cell
    assert cell.provenance.parameters["max_tokens"] == 30
    assert "follows no instructions" in cell.plain()


def test_all_options_arrive(cells, writer):
    found = cells.run(
        f"%generate --model {writer} --temperature 0.5 --top-p 0.9 --top-k 7 --n 3 --seed 2 "
        "--max-tokens 9 the"
    )
    given = found.provenance.parameters
    assert (given["temperature"], given["top_p"], given["top_k"], found.provenance.seed) == (
        0.5,
        0.9,
        7,
        2,
    )
    assert len(found) == 3


def test_stop_strings_may_be_one_or_a_list_and_hold_a_line_break(cells, writer):
    call = f"%generate --model {writer} --seed 3 --max-tokens 200"
    whole = cells.run(f"{call} the cat").text
    assert "\n" in whole
    assert cells.run(rf"{call} --stop \n the cat").text == whole.split("\n")[0]
    cells.shell.user_ns["marks"] = ["\n", "e"]
    for given in ("\"['\\n', 'e']\"", "{marks}"):
        assert (
            cells.run(f"{call} --stop {given} the cat").text == whole.split("\n")[0].split("e")[0]
        )
    assert "a list of strings expected" in cells.refusal(f"{call} --stop [1,2] the cat")


def test_a_text_goes_on_from_an_earlier_result(cells, writer):
    first = cells.run(f"%generate --model {writer} --seed 1 --max-tokens 8 --out story the cat")
    second = cells.run(
        f"%generate --model {writer} --seed 1 --max-tokens 8 --reply-to story and the dog"
    )
    assert second.before == first.continued()
    cells.shell.user_ns["number"] = 3
    assert "not an int" in cells.refusal(f"%generate --model {writer} --reply-to number the")


def test_rows(cells, writer):
    cells.shell.user_ns["rows"] = ["the cat", "the sofa"]
    found = cells.run(f"%generate --each rows --model {writer} --seed 1 --max-tokens 5")
    assert len(found.texts) == 2


def test_the_equivalent_python_runs(cells, writer):
    cells.shell.user_ns["story"] = found = cells.run(
        f"%generate --model {writer} --seed 1 --max-tokens 8 the cat"
    )
    shown = str(
        cells.run(
            f"%generate --code --model {writer} --seed 5 --max-tokens 9 --stop \\n "
            "--reply-to "
            "story the dog"
        )
    )
    space = {"story": found}
    exec(shown, space)
    again = cells.run(
        f"%generate --model {writer} --seed 5 --max-tokens 9 --stop \\n --reply-to story the dog"
    )
    assert space["result"].text == again.text


def test_the_plan_names_the_model_and_loads_none(cells, writer):
    assert "letters" in repr(cells.run(f"%generate --dry-run --model {writer} the cat"))


def test_the_default_model_is_a_setting(cells, writer):
    cells.run(f"%config LLM.generate_model = {writer!r}")
    assert "your default" in cells.run("%generate --max-tokens 3 the cat").provenance.why


@pytest.mark.parametrize("magic", ["generate", "predict"])
def test_without_a_network_an_embedded_language_model_writes(
    cells, writer, magic, tmp_path, monkeypatch
):
    import shutil

    from llm_magics.models import catalog, reference

    root = tmp_path / "embedded"
    shutil.copytree(writer, root / "letters")
    (root / "de-en").mkdir()
    (root / "de-en" / "config.json").write_text(json.dumps({"task": "translate"}))
    for module in (reference, catalog):
        monkeypatch.setattr(module, "embedded_root", lambda: root)
    found = cells.run(f"%{magic} the cat")
    found = found.result if magic == "predict" else found
    assert found.provenance.model == "embedded:letters"
    assert "this model was taken instead of" in " ".join(found.notes)


@pytest.mark.parametrize("magic", ["generate", "predict"])
def test_without_any_model_it_says_what_there_is(cells, magic, tmp_path, monkeypatch):
    from llm_magics.errors import HubUnreachable
    from llm_magics.models import reference

    monkeypatch.setattr(reference, "embedded_root", lambda: tmp_path / "nothing")
    with pytest.raises(HubUnreachable, match="trained here, as run:NAME"):
        cells.run(f"%{magic} the cat")


def test_a_kernel_shows_the_text_while_it_grows_and_an_interrupt_keeps_it(kernel, writer):
    kernel.run(f"%config LLM.generate_model = {writer!r}")
    message = kernel.start("%%generate --max-tokens 100000 --seed 1 --out kept\nthe cat")
    interrupted = []

    def until(outputs, updates):
        if updates and not interrupted:
            interrupted.append(True)
            kernel.manager.interrupt_kernel()

    reply, outputs, updates = kernel.finish(message, until=until)
    assert reply["status"] == "error"
    assert "the result is incomplete" in reply["evalue"] or "incomplete" in "".join(
        reply["traceback"]
    )
    assert any("the cat" in update["data"]["text/html"] for update in updates)
    reply, outputs, _ = kernel.run("print(kept[0].finish, len(kept.text) > 20)")
    assert outputs[0]["text"] == "interrupted True\n"
