"""Folders that strangers wrote are judged before a library opens them."""

from __future__ import annotations

import json
import os
import shutil
import struct

import pytest

from llm_magics.errors import BrokenModel, LLMMagicsError, ModelNotFound, UnsafeModel
from llm_magics.models.folder.inspect import inspect_folder
from llm_magics.models.folder.weights import safetensors_facts


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_good_folder_tells_its_size_before_it_is_opened(models):
    facts = inspect_folder(models("t5"))
    assert facts.family == "t5"
    assert facts.n_parameters == sum(tensor.elements for tensor in facts.tensors.values())
    assert facts.needed_bytes(4) == 4 * facts.n_parameters
    assert facts.needed_bytes(2) == 2 * facts.n_parameters
    assert facts.file_bytes > facts.needed_bytes(4)


def test_a_missing_folder_gets_a_suggestion(models):
    near = models("t5").parent / "t55"
    with pytest.raises(ModelNotFound, match="did you mean .*t5"):
        inspect_folder(near)


def test_a_folder_without_a_model_says_so(tmp_path):
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        inspect_folder(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(ModelNotFound, match=r"no model\.safetensors"):
        inspect_folder(tmp_path)


def test_an_adapter_is_not_a_whole_model(copy_of):
    folder = copy_of("llama")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/model"}')
    with pytest.raises(ModelNotFound, match="adapter"):
        inspect_folder(folder)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1}' + b" " * (5 << 20)]
)
def test_an_unreadable_configuration_is_broken(copy_of, content):
    folder = copy_of("t5")
    (folder / "config.json").write_bytes(content)
    with pytest.raises(BrokenModel, match=r"config\.json"):
        inspect_folder(folder)


@pytest.mark.parametrize("key", ["num_layers", "d_model", "encoder_layers"])
def test_sizes_no_model_has_are_refused_before_anything_is_allocated(copy_of, key):
    folder = copy_of("t5")
    change(folder / "config.json", **{key: 2**31})
    with pytest.raises(BrokenModel, match=key):
        inspect_folder(folder)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize(
    "extra",
    [
        {"auto_map": {"AutoModel": "evil.Model"}},
        {"deep": [{"auto_map": {}}]},
        {"trust_remote_code": True},
    ],
)
def test_a_folder_that_names_code_is_refused_unless_trusted(copy_of, file, extra):
    folder = copy_of("t5")
    change(folder / file, **extra)
    with pytest.raises(UnsafeModel, match="--trust-remote-code"):
        inspect_folder(folder)
    assert inspect_folder(folder, trust_remote_code=True).remote_code


def test_a_folder_with_its_own_generate_is_refused(copy_of):
    folder = copy_of("llama")
    (folder / "custom_generate").mkdir()
    with pytest.raises(UnsafeModel):
        inspect_folder(folder)


def test_pickled_weights_are_refused_unless_allowed(copy_of):
    folder = copy_of("t5")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UnsafeModel, match="--allow-pickle"):
        inspect_folder(folder)
    facts = inspect_folder(folder, allow_pickle=True)
    assert facts.pickled
    assert facts.n_parameters is None


def sharded(folder, name):
    target = folder.parent / "outside.safetensors"
    shutil.copy(folder / "model.safetensors", target)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"shared.weight": name}})
    )
    return target


@pytest.mark.parametrize(
    "name",
    [
        "../outside.safetensors",
        "{absolute}",
        "sub/../../outside.safetensors",
        "..\\outside.safetensors",
        "a\x00.safetensors",
        "config.json",
        "model.bin",
        "",
    ],
)
def test_an_index_that_leads_out_of_the_folder_is_refused(copy_of, name):
    folder = copy_of("t5")
    absolute = str(folder.parent / "outside.safetensors")
    sharded(folder, name.replace("{absolute}", absolute))
    with pytest.raises(UnsafeModel, match="only files of the folder itself"):
        inspect_folder(folder)


def test_an_index_with_a_missing_part_names_it(copy_of):
    folder = copy_of("t5")
    sharded(folder, "model-00001-of-00002.safetensors")
    with pytest.raises(BrokenModel, match="00001-of-00002"):
        inspect_folder(folder)


def test_an_index_with_a_million_parts_is_refused(copy_of):
    folder = copy_of("t5")
    sharded(folder, "x.safetensors")
    parts = {f"t{number}": f"{number}.safetensors" for number in range(2_000)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    with pytest.raises(BrokenModel, match="2,000 files"):
        inspect_folder(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_link_out_of_the_folder_is_refused(copy_of, name):
    folder = copy_of("t5")
    outside = folder.parent / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(UnsafeModel, match="leads out"):
        inspect_folder(folder)


def test_the_links_of_the_hub_cache_are_right(copy_of):
    folder = copy_of("t5")
    blobs, snapshot = folder.parent / "blobs", folder.parent / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for path in folder.iterdir():
        path.rename(blobs / path.name)
        (snapshot / path.name).symlink_to(blobs / path.name)
    assert inspect_folder(snapshot).family == "t5"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer_config.json"])
def test_a_pipe_in_place_of_a_file_is_refused_and_not_opened(copy_of, name):
    folder = copy_of("t5")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(UnsafeModel, match="not a regular file"):
        inspect_folder(folder)


def header(entries, data=b"", length=None):
    raw = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        header({}, length=2**63),
        header({}, length=200 << 20),
        header(b"{"),
        header(b"[]"),
        b"\x80\x04\x95pickle of some sort.........",
        header({"a": F32}),
        header({"a": F32}, b"x" * 7),
        header({"a": F32}, b"x" * 9),
        header({"a": F32, "b": F32}, b"x" * 8),
        header({"a": F32, "b": F32 | {"data_offsets": [12, 20]}}, b"x" * 20),
        header({"a": F32 | {"shape": [3]}}, b"x" * 8),
        header({"a": F32 | {"shape": [-2, -1]}}, b"x" * 8),
        header({"a": F32 | {"dtype": "Q7"}}, b"x" * 8),
        header({"a": F32 | {"shape": 2}}, b"x" * 8),
        header({"a": F32 | {"data_offsets": ["0", "8"]}}, b"x" * 8),
        header({"a": 3}),
        header({"a": {}}),
        header({f"t{number}": F32 for number in range(50_001)}),
        header(b'{"a":' + b"[" * 100_000),
    ],
)
def test_a_bad_safetensors_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(BrokenModel, match=r"model\.safetensors"):
        safetensors_facts(path)


def test_every_truncation_of_a_weight_file_is_noticed(copy_of):
    path = copy_of("bert") / "model.safetensors"
    whole = path.read_bytes()
    for size in range(0, len(whole), 997):
        path.write_bytes(whole[:size])
        with pytest.raises(BrokenModel):
            safetensors_facts(path)


def test_messages_about_hostile_names_are_one_printable_line(copy_of):
    folder = copy_of("t5")
    sharded(folder, "../<script>\ud800\n\x1b[2J.safetensors")
    with pytest.raises(LLMMagicsError) as caught:
        inspect_folder(folder)
    assert str(caught.value).isprintable()
