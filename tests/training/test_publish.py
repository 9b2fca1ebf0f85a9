"""What others get of a run: models that transformers loads and that compute the same, event files,
model cards."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from llm_magics.errors import InputError, RunError, TrainingError, WrongTask
from llm_magics.models.folder.native import load_native, save_native
from llm_magics.models.folder.native_tokenizer import NativeTokenizer
from llm_magics.nn import (
    CausalLanguageModel,
    MaskedLanguageModel,
    RecurrentLanguageModel,
    RecurrentSeq2Seq,
    Seq2SeqModel,
    TextClassifier,
)
from llm_magics.nn.decoding import greedy, sample
from llm_magics.training.data.tokenizer import SPECIAL, train_tokenizer
from llm_magics.training.export.card import model_card
from llm_magics.training.export.hf_export import family_of, twin
from llm_magics.training.export.hf_tokenizer import twin_tokenizer
from llm_magics.training.export.publish import FORMATS, export_plan, export_run
from llm_magics.training.recipe.recipe import Tokenizer, recipe_from_dict
from llm_magics.training.run.events import (
    Evaluated,
    Finished,
    LayersSeen,
    RunStarted,
    Sample,
    Sampled,
    StepDone,
)
from llm_magics.training.runs.runs import create_run

TEXTS = [
    "The cat sleeps.",
    "A dog runs in the park.",
    "Where is the station?",
    "Größe 42!",
    "Hello there, it's me.",
]
DOCUMENT = {
    "name": "tiny",
    "seed": 3,
    "description": "Words of a few texts.",
    "data": {
        "train": "texts.jsonl",
        "source_language": "en",
        "target_language": "de",
        "licence": "CC BY 4.0",
        "attribution": "some texts, collected here",
    },
    "evaluation": {"metric": "bleu", "beams": 4},
    "optimizer": {"betas": [0.9, 0.98]},
}
EVENTS = [
    RunStarted("tiny", 0, 20, 1234, 5, 1, "cpu"),
    StepDone(5, 20, 1.0, 3.5, 1e-3, 0.7, 400.0, 1.5, 0.25),
    LayersSeen(5, ("embedding", "tied"), (0.1, None), (0.9, None), (0.5, 0.25)),
    StepDone(10, 20, 2.0, 2.5, 2e-3, 0.6, 500.0, 3.0, 0.125),
    Evaluated(10, 2.0, 2.25, {"bleu": 12.5}),
    Sampled(10, (Sample("a | b", "c\nd", "e"),)),
    Finished("completed", 20, 6.0, {"bleu": 20.0, "chrf": 41.23456}),
]


def lively(module):
    """Norms and biases as after a training: a model just made hides what goes wrong with them."""
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.4 * torch.randn_like(parameter))
    return module.eval()


def translator(source, target, norm_first=True, shared=False, **sizes):
    torch.manual_seed(1)
    arguments = {
        "src_vocab_size": source,
        "tgt_vocab_size": target,
        "d_model": 24,
        "nhead": 4,
        "num_encoder_layers": 2,
        "num_decoder_layers": 3,
        "dim_feedforward": 40,
        "norm_first": norm_first,
        "shared_embeddings": shared,
        **sizes,
    }
    return lively(Seq2SeqModel(**arguments)), arguments


def language_model(size=50, **options):
    torch.manual_seed(1)
    arguments = {
        "vocab_size": size,
        "d_model": 24,
        "nhead": 4,
        "num_layers": 2,
        "dim_feedforward": 70,
        **options,
    }
    return lively(CausalLanguageModel(**arguments)), arguments


# Twins in transformers


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize(
    ("source", "target", "shared"),
    [(50, 50, True), (50, 50, False), (40, 57, False), (57, 40, False)],
)
def test_the_twin_of_a_translator_computes_the_same_and_writes_the_same_tokens(
    norm_first, source, target, shared
):
    module, _ = translator(source, target, norm_first, shared)
    theirs = twin(module, SPECIAL)
    assert theirs.config.model_type == ("pegasus" if norm_first else "marian")
    assert (
        theirs.config.forced_eos_token_id is None
    )  # else a text at the limit would lose its last token
    src, tgt = torch.randint(4, source, (3, 30)), torch.randint(4, target, (3, 25))
    src[0, 20:] = src[2, 9:] = SPECIAL["pad"]
    tgt[:, 0] = SPECIAL["bos"]
    hidden = src == SPECIAL["pad"]
    with torch.no_grad():
        expected = module(src, tgt, src_key_padding_mask=hidden)
        logits = theirs(
            input_ids=src, attention_mask=(~hidden).long(), decoder_input_ids=tgt
        ).logits
        assert expected.abs().max() > 1
        assert (logits[..., :target] - expected).abs().max() < 1e-5
        assert not (logits[..., target:] > -1e8).any()
        written = theirs.generate(input_ids=src, attention_mask=(~hidden).long(), max_new_tokens=20)
    ours = greedy(module, src, hidden, bos=SPECIAL["bos"], eos=SPECIAL["eos"], max_new_tokens=20)
    assert any(ours)
    for row, tokens in zip(written.tolist(), ours, strict=True):
        assert row[0] == SPECIAL["bos"]
        assert row[1:][: len(tokens)] == tokens
        assert set(row[1:][len(tokens) :]) <= {SPECIAL["eos"], SPECIAL["pad"]}


@pytest.mark.parametrize(("norm_first", "family"), [(True, "gpt2"), (False, "openai-gpt")])
@pytest.mark.parametrize("max_positions", [None, 48])
def test_the_twin_of_a_language_model_computes_the_same_and_writes_the_same_tokens(
    norm_first, family, max_positions
):
    module, _ = language_model(norm_first=norm_first, max_positions=max_positions)
    theirs = twin(module, SPECIAL)
    assert theirs.config.model_type == family
    ids = torch.randint(4, 50, (3, 40))
    with torch.no_grad():
        expected = module(ids)
        assert expected.std() > 0.5
        assert (theirs(input_ids=ids).logits - expected).abs().max() < 1e-5
        prompt = ids[:1, :5]
        written = theirs.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=20
        )[0, 5:].tolist()
    (ours,) = sample(module, prompt, max_new_tokens=20, eos=SPECIAL["eos"], temperature=0)
    assert [token for token in written if token != SPECIAL["eos"]] == ours != []


def test_an_odd_width_has_a_twin():
    module, _ = translator(50, 50, norm_first=False, d_model=15, nhead=3)
    src, tgt = torch.randint(4, 50, (2, 9)), torch.randint(4, 50, (2, 7))
    with torch.no_grad():
        assert (
            twin(module, SPECIAL)(input_ids=src, decoder_input_ids=tgt).logits - module(src, tgt)
        ).abs().max() < 1e-5


def test_making_a_twin_draws_no_random_numbers():
    module, _ = language_model()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    twin(module, SPECIAL)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (lambda: MaskedLanguageModel(20, 8, 2, 1, 16), "dense layer"),
        (lambda: RecurrentLanguageModel(20, embedding_size=8, hidden_size=8), "no LSTM"),
        (
            lambda: RecurrentSeq2Seq(20, 20, embedding_size=8, hidden_size=8),
            "no recurrent translators",
        ),
        (lambda: TextClassifier(20, 3, d_model=8), "classifiers"),
        (lambda: CausalLanguageModel(20, 8, 2, 1, 33, norm_first=False), "33 wide"),
        (lambda: torch.nn.Linear(2, 2), "no family"),
    ],
)
def test_what_has_no_twin_is_refused_with_the_reason(module, why):
    with pytest.raises(WrongTask, match=f"{why}.*--format copy"):
        family_of(module())


@pytest.mark.parametrize(
    ("kind", "size"), [("bpe", 330), ("unigram", 500), ("word", 40), ("char", 60)]
)
def test_the_twin_of_a_tokenizer_gives_the_same_ids_and_the_same_text(tmp_path, kind, size):
    from transformers import AutoTokenizer

    tokenizer = train_tokenizer(TEXTS * 3, Tokenizer(kind=kind, vocab_size=size, min_frequency=1))
    ours = NativeTokenizer(tokenizer, tokenizer)
    twin_tokenizer(ours, "source", ends=True).save_pretrained(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    texts = [*TEXTS, "A </s> mark, <0x41> é 漢  two  spaces ", "<pad>", "", "Größe\tnew\nline 😀"]
    expected = ours.encode_source(texts)
    assert theirs(texts)["input_ids"] == expected
    for ids in expected:
        assert theirs.decode(ids, skip_special_tokens=True) == ours.decode_source(ids)
    prompts = twin_tokenizer(ours, "source", ends=False)(texts)["input_ids"]
    assert prompts == [ids[:-1] for ids in expected]


# Folders


@pytest.fixture
def run(tmp_path):
    """A finished translator with one vocabulary, not trained."""
    return finished(tmp_path / "runs", "demo", DOCUMENT)


def finished(root, name, document, **shape):
    run = create_run(root, recipe_from_dict(document), name)
    tokenizer = train_tokenizer(TEXTS * 3, Tokenizer(vocab_size=320))
    module, arguments = translator(320, 320, **{"shared": True, **shape})
    save_native(
        run.model_folder,
        module,
        arguments=arguments,
        task="translate",
        source_language="en",
        target_language="de",
        source_tokenizer=tokenizer,
        card=f"made in {root}",
    )
    for event in EVENTS:
        run.append(event)
    return run


@pytest.mark.parametrize("norm_first", [True, False])
def test_an_exported_run_is_loaded_by_transformers_and_translates_alike(tmp_path, norm_first):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    run = finished(tmp_path / "runs", "demo", DOCUMENT, norm_first=norm_first)
    written = export_run(run, tmp_path / "out")
    assert set(written.files) == {path.name for path in (tmp_path / "out").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(written.files)
    model, report = AutoModelForSeq2SeqLM.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(report["missing_keys"])
    assert not any(report["unexpected_keys"])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    module, ours, _ = load_native(run.model_folder)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    texts = tokenizer.batch_decode(
        model.generate(**batch, max_new_tokens=12), skip_special_tokens=True
    )
    rows = greedy(
        module, batch["input_ids"], batch["attention_mask"] == 0, bos=1, eos=2, max_new_tokens=12
    )
    assert texts == [ours.decode_target(row) for row in rows]
    assert any(texts)
    namespace: dict = {}
    exec(written.use, namespace)  # as the user is told to
    assert namespace["model"].config.model_type == written.family


def test_two_vocabularies_are_two_tokenizers(tmp_path):
    from transformers import AutoTokenizer

    run = create_run(tmp_path / "runs", recipe_from_dict(DOCUMENT), "two")
    source = train_tokenizer(TEXTS * 3, Tokenizer(vocab_size=320))
    target = train_tokenizer(TEXTS * 3, Tokenizer(kind="char", vocab_size=60))
    module, arguments = translator(320, target.get_vocab_size())
    save_native(
        run.model_folder,
        module,
        arguments=arguments,
        task="translate",
        source_tokenizer=source,
        target_tokenizer=target,
    )
    export_run(run, tmp_path / "out")
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("The cat")["input_ids"] == [
        *source.encode("The cat").ids,
        2,
    ]
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out" / "target_tokenizer")
    assert theirs.decode(target.encode("The cat").ids) == "The cat"


def test_a_language_model_is_exported_with_a_tokenizer_that_adds_no_end_mark(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run = create_run(
        tmp_path / "runs", recipe_from_dict({**DOCUMENT, "task": "language-model"}), "lm"
    )
    tokenizer = train_tokenizer(TEXTS * 3, Tokenizer(vocab_size=320))
    module, arguments = language_model(320)
    save_native(
        run.model_folder,
        module,
        arguments=arguments,
        task="language-model",
        source_tokenizer=tokenizer,
    )
    assert export_run(run, tmp_path / "out").family == "gpt2"
    model, theirs = (
        AutoModelForCausalLM.from_pretrained(tmp_path / "out"),
        AutoTokenizer.from_pretrained(tmp_path / "out"),
    )
    ids = theirs("The cat sleeps.", return_tensors="pt")["input_ids"]
    assert ids[0].tolist() == tokenizer.encode("The cat sleeps.").ids
    with torch.no_grad():
        assert (model(input_ids=ids).logits - module(ids)).abs().max() < 1e-5


def test_a_copy_is_the_model_as_it_is_without_the_card_that_names_folders(run, tmp_path):
    export_run(run, tmp_path / "out", "copy")
    ours, theirs = (
        load_native(run.model_folder)[0].state_dict(),
        load_native(tmp_path / "out")[0].state_dict(),
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]


def test_a_fine_tuned_model_is_copied_without_the_folders_of_this_machine(tmp_path):
    from transformers import (
        AutoModelForSequenceClassification,
        BertConfig,
        BertForSequenceClassification,
    )

    run = create_run(
        tmp_path / "runs",
        recipe_from_dict(
            {
                **DOCUMENT,
                "task": "classify",
                "model": {"reference": str(tmp_path / "secret" / "base")},
            }
        ),
        "tuned",
    )
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=20,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
        )
    )
    model.save_pretrained(run.model_folder)
    config = json.loads((run.model_folder / "config.json").read_text())
    (run.model_folder / "config.json").write_text(
        json.dumps({**config, "_name_or_path": str(tmp_path / "secret" / "base")})
    )
    written = export_run(run, tmp_path / "out")
    assert written.family == "bert"
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())
    for path in (tmp_path / "out").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path.name


def test_what_is_there_is_replaced_only_when_asked_and_nothing_else_goes(run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    (out / "config.json").write_text("{}")
    (out / "model-00002-of-00002.safetensors").write_bytes(b"old")
    for format in FORMATS:
        with pytest.raises(InputError, match="not empty.*--force"):
            export_run(run, out, format)
    assert (out / "config.json").read_text() == "{}"
    export_run(run, out, force=True)
    assert (out / "thesis.txt").read_text() == "years of work"
    assert json.loads((out / "config.json").read_text())["model_type"] == "pegasus"
    assert [path.name for path in out.glob("*.safetensors")] == ["model.safetensors"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_cannot_be_exported_leaves_nothing_behind(run, tmp_path):
    sizes = {"vocab_size": 320, "d_model": 8, "nhead": 2, "num_layers": 1, "dim_feedforward": 16}
    tokenizer = train_tokenizer(TEXTS * 3, Tokenizer(vocab_size=320))
    save_native(
        run.model_folder,
        MaskedLanguageModel(**sizes),
        arguments=sizes,
        task="masked-language-model",
        source_tokenizer=tokenizer,
    )
    for refused in (export_plan, export_run):
        with pytest.raises(WrongTask, match="MaskedLanguageModel has no twin"):
            refused(run, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert export_run(run, tmp_path / "out", "copy").family == ""


@pytest.mark.parametrize(
    ("folder", "format", "error", "what"),
    [
        ("out", "pickle", InputError, "no format"),
        ("runs/demo/model", "card", InputError, "lies in the run"),
        ("file", "card", InputError, "is a file"),
    ],
)
def test_wrong_words_are_refused(run, tmp_path, folder, format, error, what):
    (tmp_path / "file").write_text("x")
    for refused in (export_plan, export_run):
        with pytest.raises(error, match=what):
            refused(run, tmp_path / folder, format, force=True)


def test_a_run_without_a_model_says_how_it_gets_one(tmp_path):
    run = create_run(tmp_path / "runs", recipe_from_dict(DOCUMENT), "young")
    with pytest.raises(RunError, match="no model yet.*%train --resume young"):
        export_run(run, tmp_path / "out")
    assert export_run(run, tmp_path / "card", "card").files == ("README.md",)


def test_a_plan_says_what_would_be_written_and_writes_nothing(run, tmp_path):
    said = [export_plan(run, tmp_path / "out", format) for format in FORMATS]
    assert "family pegasus" in said[0]
    assert all("run:demo" in line and str(tmp_path / "out") in line for line in said)
    assert not (tmp_path / "out").exists()


# TensorBoard


def test_event_files_hold_what_the_record_holds(run, tmp_path):
    pytest.importorskip("tensorboard", reason="an optional library")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    written = export_run(run, tmp_path / "tb", "tensorboard")
    assert re.fullmatch(
        r"events\.out\.tfevents\.\d+\.0\.llm-magics", *written.files
    )  # no name of a machine
    found = EventAccumulator(str(tmp_path / "tb"))
    found.Reload()

    def values(tag):
        return [(event.step, pytest.approx(event.value)) for event in found.Scalars(tag)]

    assert values("loss/train") == [(5, 3.5), (10, 2.5)]
    assert values("loss/validation") == [(10, 2.25)]
    assert values("rate/learning_rate") == [(5, 1e-3), (10, 2e-3)]
    assert values("rate/gradient_norm") == [(5, 0.7), (10, 0.6)]
    assert values("batch/padding") == [(5, 0.25), (10, 0.125)]
    assert values("validation/bleu") == [(10, 12.5)]
    assert values("held_out/chrf") == [(20, 41.23456)]
    assert values("gradient_norm/embedding") == [(5, 0.5)]
    assert values("gradient_norm/tied") == [(5, 0.25)]
    assert values("activation_std/embedding") == [(5, 0.9)]
    assert "activation_std/tied" not in found.Tags()["scalars"]
    first, second = found.Scalars("loss/train")
    assert second.wall_time - first.wall_time == pytest.approx(1.5, abs=0.01)
    text = found.Tensors("samples/text_summary")[0].tensor_proto.string_val[0].decode()
    assert text.splitlines()[-1] == "| a \\| b | c d | e |"
    assert (
        "texts.jsonl" in found.Tensors("recipe/text_summary")[0].tensor_proto.string_val[0].decode()
    )


def test_writing_event_files_again_does_not_double_them(run, tmp_path):
    pytest.importorskip("tensorboard", reason="an optional library")
    for _ in range(2):
        export_run(run, tmp_path / "tb", "tensorboard", force=True)
    assert len(list((tmp_path / "tb").iterdir())) == 1


def test_without_the_library_it_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(
        sys.modules, "torch.utils.tensorboard", None
    )  # what an import of a missing package meets
    with pytest.raises(TrainingError, match=r"pip install 'llm-magics-notebook\[tensorboard\]'"):
        export_run(run, tmp_path / "tb", "tensorboard")
    assert not (tmp_path / "tb").exists()


# Cards


def front_matter(text):
    import yaml

    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def test_a_card_has_the_head_that_the_hub_reads(run):
    head, body = front_matter(model_card(run, library="transformers", use="model = 1"))
    assert (head["license"], head["language"], head["library_name"]) == (
        "cc-by-4.0",
        ["en", "de"],
        "transformers",
    )
    assert (head["pipeline_tag"], head["metrics"]) == ("translation", ["bleu", "chrf"])
    (results,) = head["model-index"][0]["results"]
    assert head["model-index"][0]["name"] == "demo"
    assert results["dataset"] == {"name": "some texts", "type": "some-texts", "split": "validation"}
    assert [(metric["type"], metric["value"]) for metric in results["metrics"]] == [
        ("bleu", 20.0),
        ("chrf", 41.2346),
    ]
    for said in (
        "# demo",
        "Words of a few texts.",
        "1,234 parameters",
        "chrF2: 41.23",
        "4 beams",
        "2.2500 nats",
        "model = 1",
    ):
        assert said in body


def test_the_settings_of_a_card_are_the_recipe(run):
    text = re.search(r"```toml\n(.*?)```", model_card(run), re.DOTALL)[1]
    assert (
        recipe_from_dict({**tomllib.loads(text), "description": DOCUMENT["description"]})
        == run.recipe()
    )
    assert "weight_decay" not in text  # a default


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("", (None, None)),
        ("Apache-2.0", ("apache-2.0", None)),
        ("CC BY-SA 4.0", ("cc-by-sa-4.0", None)),
        ("non-commercial research; see /home/x", ("other", "non-commercial-research-see-home-x")),
    ],
)
def test_a_licence_that_the_hub_does_not_know_is_another(tmp_path, licence, expected):
    document = {**DOCUMENT, "data": {**DOCUMENT["data"], "licence": licence}}
    head, _ = front_matter(model_card(create_run(tmp_path, recipe_from_dict(document), "one")))
    assert (head.get("license"), head.get("license_name")) == expected


def test_data_sets_and_models_of_the_hub_are_named(tmp_path):
    document = {
        **DOCUMENT,
        "task": "classify",
        "data": {"train": "hub:stanfordnlp/sst2/default:train", "test": "hub:stanfordnlp/sst2"},
        "model": {"reference": "google-bert/bert-base-cased@main"},
    }
    head, _ = front_matter(model_card(create_run(tmp_path, recipe_from_dict(document), "one")))
    assert (head["datasets"], head["base_model"]) == (
        ["stanfordnlp/sst2"],
        "google-bert/bert-base-cased",
    )


def test_no_folder_of_this_machine_is_in_what_is_passed_on(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="an optional library")
    private = tmp_path / "a secret place"
    private.mkdir()
    monkeypatch.chdir(private)
    monkeypatch.setenv("LLM_MAGICS_DATA", str(private / "data"))
    home = Path.home()
    run = finished(
        tmp_path / "runs",
        "demo",
        {
            **DOCUMENT,
            "description": f"From {private}/data/x.csv and ~/notes/y.txt; see https://example.org/a/b.",
            "data": {
                **DOCUMENT["data"],
                "train": str(private / "train file.jsonl"),
                "validation": f"disk:{home}/sets/val",
                "test": "C:\\Users\\me\\test.csv",
                "attribution": f"files of {private}/raw",
            },
            "augmentation": {"back_translate": str(private / "model")},
            "published": {"where": f"{home}/papers/mine.pdf"},
        },
    )
    (run.folder / "report.json").write_text(
        json.dumps(
            {
                "read": {"train": 5},
                "skipped": {},
                "parts": {"train": {"duplicates": 2, "kept": 3}},
                "examples": {"duplicates": [f"{private}/train file.jsonl:3: a private sentence"]},
            }
        )
    )
    for format in FORMATS:
        export_run(run, tmp_path / "out" / format, format)
    card = (tmp_path / "out" / "card" / "README.md").read_text()
    assert "From x.csv and y.txt; see https://example.org/a/b." in card
    assert "train file.jsonl" in card
    assert "3 training rows; left out: 2 duplicates" in card
    for path in (tmp_path / "out").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for word in (
            str(tmp_path),
            "a secret place",
            "private sentence",
            "Users",
            f"{home}/",
            os.uname().nodename + ".",
        ):
            assert word.encode() not in content, f"{word} in {path}"


def test_a_card_of_a_run_that_has_not_ended_claims_no_result(tmp_path):
    run = create_run(tmp_path, recipe_from_dict(DOCUMENT), "young")
    for event in EVENTS[:-1]:
        run.append(event)
    head, body = front_matter(model_card(run))
    assert "model-index" not in head
    assert "Of the last evaluation, on validation rows" in body
