"""This project's own model folders."""

from __future__ import annotations

import json

import pytest
import torch

from llm_magics.errors import BrokenModel
from llm_magics.models.folder.native import load_native, save_native
from llm_magics.models.folder.native_tokenizer import NativeTokenizer
from llm_magics.nn.transformer import Seq2SeqModel


def arguments_of(folder):
    return json.loads((folder / "config.json").read_text())["arguments"]


def saved_again(folder, place, *, dtype="float32", shared=False):
    """(module, folder): the house model in `folder`, with new random weights, saved in `place`."""
    _, tokenizer, config = load_native(folder)
    arguments = config["arguments"]
    if shared:
        arguments |= {"shared_embeddings": True, "tgt_vocab_size": arguments["src_vocab_size"]}
    torch.manual_seed(3)
    module = Seq2SeqModel(**arguments).eval()
    save_native(
        place,
        module,
        arguments=arguments,
        task="translate",
        source_language="en",
        target_language="de",
        source_tokenizer=tokenizer.source,
        target_tokenizer=None if shared else tokenizer.target,
        dtype=dtype,
    )
    return module, place


@pytest.mark.parametrize("shared", [False, True])
def test_a_saved_model_comes_back_exactly(models, tmp_path, shared):
    module, folder = saved_again(models("house"), tmp_path / "again", shared=shared)
    loaded, tokenizer, config = load_native(folder)
    assert not loaded.training
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    ids = torch.tensor(tokenizer.encode_source(["The cat sat on the mat."]))
    assert torch.equal(module(ids, ids), loaded(ids, ids))
    assert config["source_language"] == "en"
    names = {path.name for path in folder.iterdir()}
    tokenizers = (
        {"tokenizer.json"} if shared else {"source_tokenizer.json", "target_tokenizer.json"}
    )
    assert names == {"config.json", "model.safetensors", "card.md"} | tokenizers


def test_shared_weights_are_written_once_and_still_shared_when_read(models, tmp_path):
    _, folder = saved_again(models("house"), tmp_path / "again", shared=True)
    loaded, _, _ = load_native(folder)
    assert loaded.generator.weight is loaded.source_embedding.weight
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as file:
        embeddings = [
            name
            for name in file.keys()  # noqa: SIM118  safetensors has keys only
            if "embedding" in name or name == "generator.weight"
        ]
    assert len(embeddings) == 1


def test_half_precision_halves_the_file_and_loads_as_single(models, tmp_path):
    module, half = saved_again(models("house"), tmp_path / "half", dtype="float16")
    _, full = saved_again(models("house"), tmp_path / "full")
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (half, full)]
    assert sizes[0] < 0.6 * sizes[1]
    loaded, _, _ = load_native(half)
    for name, tensor in module.state_dict().items():
        read = loaded.state_dict()[name]
        assert read.dtype == torch.float32
        assert torch.equal(read, tensor.half().float()), name


def test_saving_over_a_model_replaces_it_and_leaves_nothing_behind(models, tmp_path):
    _, folder = saved_again(models("house"), tmp_path / "model")
    _, folder = saved_again(models("house"), tmp_path / "model", shared=True)
    assert (folder / "tokenizer.json").exists()
    assert not (folder / "source_tokenizer.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failed_save_keeps_the_old_model(models, tmp_path):
    _, folder = saved_again(models("house"), tmp_path / "model")
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match="int8"):
        saved_again(models("house"), tmp_path / "model", dtype="int8")
    assert (folder / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_tokenizer_adds_the_end_and_takes_special_tokens_away(models):
    _, tokenizer, _ = load_native(models("house"))
    text = "The cat sat on the mat."
    [ids] = tokenizer.encode_source([text])
    assert ids[-1] == tokenizer.special["eos"]
    assert tokenizer.special["bos"] not in ids
    assert (
        tokenizer.decode_source([tokenizer.special["bos"], *ids, tokenizer.special["pad"]]) == text
    )
    [target] = tokenizer.encode_target(["Wo ist der Bahnhof?"])
    assert tokenizer.decode_target(target) == "Wo ist der Bahnhof?"
    assert len(tokenizer.source_tokens(ids)) == len(ids) == len(tokenizer.source_offsets(text))
    assert tokenizer.source_offsets(text)[-1] == (len(text), len(text))


def test_encoding_ignores_padding_set_elsewhere(models):
    _, tokenizer, _ = load_native(models("house"))
    raw = tokenizer.source
    raw.enable_padding(length=50)
    fresh = NativeTokenizer(raw, raw)
    assert len(fresh.encode_source(["cat"])[0]) < 50


def broken(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    "values",
    [
        {"format_version": 99},
        {"architecture": "os.system"},
        {"arguments": None},
        {"arguments": {"d_model": 16}},
        {"special": {"pad": 0}},
        {"special": None},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(copy_of, values):
    folder = copy_of("house")
    broken(folder, **values)
    with pytest.raises(BrokenModel, match=r"config\.json"):
        load_native(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"d_model": 32},
        {"nhead": 3},
        {"num_encoder_layers": 2},
        {"unknown": 1},
        {"d_model": 10**7},
        {"dim_feedforward": -1},
        {"shared_embeddings": True},
        {"num_decoder_layers": "2"},
    ],
)
def test_a_configuration_that_does_not_match_the_weights_is_refused(copy_of, change):
    folder = copy_of("house")
    broken(folder, arguments=arguments_of(folder) | change)
    with pytest.raises(BrokenModel):
        load_native(folder)


@pytest.mark.parametrize("content", ["", "{}", "null", '{"model": {"type": "BPE"}}'])
def test_a_tokenizer_that_cannot_be_read_is_named(copy_of, content):
    folder = copy_of("house")
    (folder / "source_tokenizer.json").write_text(content)
    with pytest.raises(BrokenModel, match=r"source_tokenizer\.json"):
        load_native(folder)


def test_a_regular_expression_that_panics_the_tokenizer_is_one_of_our_errors(copy_of):
    folder = copy_of("house")
    path = folder / "source_tokenizer.json"
    content = json.loads(path.read_text())
    content["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"Regex": "(a+)+$"},
        "behavior": "Isolated",
        "invert": False,
    }
    path.write_text(json.dumps(content))
    with pytest.raises(BrokenModel, match="the tokenizer"):
        load_native(folder)[1].encode_source(["a" * 40 + "!"])
