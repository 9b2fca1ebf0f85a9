"""Fine-tuning transformers models: tiny ones, made on the spot, go through the real loop and out
again as run:NAME."""

from __future__ import annotations

import itertools
import json
import math
import random
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from llm_magics.errors import BrokenModel, LLMMagicsError, RecipeError, RunError
from llm_magics.models.manager.manager import ModelManager
from llm_magics.tasks.translate.task import translate
from llm_magics.training.objectives import FINE_TUNED
from llm_magics.training.objectives.finetune.answer import _best_span, _target
from llm_magics.training.recipe.recipe import TASKS, recipe_from_dict
from llm_magics.training.run import checkpoint
from llm_magics.training.run.control import Control
from llm_magics.training.run.evaluate import evaluation_mode
from llm_magics.training.run.events import (
    AttentionSeen,
    Evaluated,
    Finished,
    RunStarted,
    Sampled,
    StepDone,
)
from llm_magics.training.run.loop import train
from llm_magics.training.run.setup import prepare
from llm_magics.training.runs.runs import create_run, find_run

NUMBERS = ["one", "two", "three", "four", "five", "six"]
OTHERS = ["cat", "dog", "sat", "ran", "red", "blue", "where", "is", "it", "the"]
DIGITS = ["1", "2", "3", "4", "5", "6"]
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


def word_tokenizer(template, **special):
    """A tokenizer of whole words, lower case; `template`: how its marks stand around one text and
    around two."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    words = [*special.values(), *NUMBERS, *OTHERS, *DIGITS, "good", "bad"]
    vocabulary = {word: number for number, word in enumerate(words)}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token=special["unk_token"]))
    raw.normalizer, raw.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    if template:
        marks = [(mark, vocabulary[mark]) for mark in special.values()]
        raw.post_processor = TemplateProcessing(
            single=template[0], pair=template[1], special_tokens=marks
        )
    return PreTrainedTokenizerFast(tokenizer_object=raw, **special)


def saved(folder, model, tokenizer):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Family → folder of a tiny model with random weights."""
    import transformers as t

    root = tmp_path_factory.mktemp("bases")
    torch.manual_seed(0)
    bert = word_tokenizer(
        ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    bert.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    t5 = word_tokenizer(
        ("$A </s>", "$A </s> $B </s>"), pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    bart = word_tokenizer(
        ("<s> $A </s>", "<s> $A </s> $B </s>"),
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    )
    llama = word_tokenizer(None, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    sizes = {
        "vocab_size": 40,
        "d_model": 32,
        "d_kv": 16,
        "d_ff": 64,
        "num_layers": 1,
        "num_heads": 2,
    }
    bert_config = t.BertConfig(vocab_size=40, max_position_embeddings=48, **SMALL)
    bart_config = t.BartConfig(
        vocab_size=40,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=64,
        dropout=0.0,
        init_std=0.15,
    )
    llama_config = t.LlamaConfig(
        vocab_size=40, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, **SMALL
    )
    return {
        "bert": saved(root / "bert", t.BertForMaskedLM(bert_config), bert),
        "t5": saved(
            root / "t5",
            t.T5ForConditionalGeneration(t.T5Config(decoder_start_token_id=0, **sizes)),
            t5,
        ),
        "bart": saved(root / "bart", t.BartForConditionalGeneration(bart_config), bart),
        "llama": saved(root / "llama", t.LlamaForCausalLM(llama_config), llama),
    }


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """run:NAME is looked for here."""
    monkeypatch.setenv("LLM_MAGICS_HOME", str(tmp_path))
    return tmp_path


def opinions(count, rng):
    return [
        {"text": " ".join([*rng.sample([*NUMBERS, *OTHERS], 5), word]), "label": word}
        for word in (rng.choice(["good", "bad"]) for _ in range(count))
    ]


def numbers(count, rng):
    """Number words and the same in digits."""
    chosen = [[rng.randrange(6) for _ in range(rng.randint(1, 2))] for _ in range(count)]
    return [
        {"source": " ".join(NUMBERS[i] for i in row), "target": " ".join(DIGITS[i] for i in row)}
        for row in chosen
    ]


def tagged(count, rng):
    rows = [rng.choices([*NUMBERS, *OTHERS, *DIGITS], k=rng.randint(3, 9)) for _ in range(count)]
    return [
        {"tokens": row, "tags": ["B-NUM" if word.isdigit() else "O" for word in row]}
        for row in rows
    ]


def questions(count, rng, unanswerable=0.3):
    """The answer is the one digit in a long context; without a digit there is none."""
    rows = []
    for _ in range(count):
        words = rng.choices([*NUMBERS, *OTHERS], k=rng.randint(6, 60))
        place = rng.randrange(len(words))
        answers = []
        if rng.random() >= unanswerable:
            words[place] = rng.choice(DIGITS)
            answers = [{"text": words[place], "start": len(" ".join([*words[:place], ""]))}]
        rows.append({"question": "where is it", "context": " ".join(words), "answers": answers})
    return rows


def counting(count, rng):
    rows = []
    for _ in range(count):
        first = rng.randrange(6)
        rows.append(
            {"text": " ".join(NUMBERS[(first + i) % 6] for i in range(rng.randint(20, 100)))}
        )
    return rows


ROWS = {
    "classify": opinions,
    "translate": numbers,
    "summarize": numbers,
    "label-tokens": tagged,
    "answer": questions,
    "language-model": counting,
    "masked-language-model": counting,
}
BASES = {"translate": "t5", "summarize": "t5", "language-model": "llama"}


def new_run(home, bases, task, name="tuned", rows=200, base=None, held_out=40, **settings):
    """A run with generated rows; validation rows are of another seed."""
    files = {}
    for part, count in (("train", rows), ("validation", held_out)):
        made = ROWS[task](count, random.Random(part))
        files[part] = home / f"{part}-{task}.jsonl"
        files[part].write_text("\n".join(map(json.dumps, made)), "utf-8")
    recipe = recipe_from_dict(
        {
            "task": task,
            "name": name,
            "seed": 1,
            "data": {part: str(file) for part, file in files.items()},
            "cleaning": {"deduplicate": False, "remove_overlap": False},
            "model": {"reference": str(base or bases[BASES.get(task, "bert")])},
            "optimizer": {"lr": 5e-3},
            "schedule": {"epochs": 3, "kind": "constant", "warmup_steps": 5},
            "batch": {"tokens": 400, "max_tokens_per_side": 40},
            "evaluation": {"every_steps": 20, "rows": 20},
        }
    )
    return create_run(home / "runs", recipe.with_settings(settings), name)


def trained(run):
    """The events of the whole training, by kind."""
    events = list(train(run))
    assert isinstance(events[-1], Finished)
    return {
        kind: [event for event in events if isinstance(event, kind)]
        for kind in (RunStarted, StepDone, Evaluated, Sampled, AttentionSeen, Finished)
    }


def set_up(run):
    return prepare(run, "cpu").objective


def some_batch(objective):
    return next(iter(objective.batches(0)))


# What is learnt, and that it can be used


def test_every_task_but_custom_can_be_fine_tuned():
    assert set(FINE_TUNED) == set(TASKS) - {"custom"}


def test_a_classifier_learns_a_rule_and_serves_as_run_name(home, bases):
    run = new_run(home, bases, "classify", **{"schedule.epochs": 12})
    before = {path.name: path.read_bytes() for path in bases["bert"].iterdir()}
    seen = trained(run)
    assert seen[Finished][0].metrics["accuracy"] >= 95
    assert seen[RunStarted][0].trainable == seen[RunStarted][0].parameters
    assert (
        "new weights, drawn from seed 1: bert.pooler.dense, classifier" in seen[RunStarted][0].notes
    )
    assert seen[AttentionSeen][-1].rows[0] == "[CLS]"
    assert {path.name: path.read_bytes() for path in bases["bert"].iterdir()} == before
    with ModelManager(device="cpu").lease("run:tuned") as loaded:
        assert loaded.task == "classify"
        for word in ("good", "bad"):
            logits = loaded.module(
                **loaded.tokenizer(" ".join([*NUMBERS[:5], word]), return_tensors="pt")
            ).logits
            assert loaded.module.config.id2label[logits.argmax().item()] == word


def test_a_translator_learns_and_translates_as_run_name(home, bases):
    run = new_run(
        home,
        bases,
        "translate",
        rows=400,
        base=bases["bart"],
        **{
            "data.source_language": "en",
            "data.target_language": "de",
            "batch.tokens": 100,
            "schedule.epochs": 6,
            "evaluation.every_steps": 60,
            "evaluation.metric": "exact_match",
        },
    )
    seen = trained(run)
    assert seen[Finished][0].metrics["exact_match"] >= 90
    assert seen[AttentionSeen][-1].kind == "cross"
    assert seen[Sampled][-1].samples[0].predicted == seen[Sampled][-1].samples[0].expected
    result = translate(
        "two five", manager=ModelManager(device="cpu"), model="run:tuned", align=False
    )
    assert result.text == "2 5"


def test_a_tagger_learns_digits_from_words(home, bases):
    assert trained(new_run(home, bases, "label-tokens"))[Finished][0].metrics == {
        "entity_f1": 100.0,
        "accuracy": 100.0,
    }


def test_answers_are_found_in_long_contexts_and_missing_ones_are_noticed(home, bases):
    seen = trained(new_run(home, bases, "answer", **{"evaluation.samples": 20}))
    assert seen[Finished][0].metrics["answer_exact_match"] >= 95
    said = {sample.predicted for event in seen[Sampled] for sample in event.samples}
    assert "(no answer)" in said
    assert said & set(DIGITS)


@pytest.mark.parametrize(("task", "below"), [("language-model", 2.5), ("masked-language-model", 8)])
def test_the_perplexity_of_a_language_model_falls(home, bases, task, below):
    run = new_run(home, bases, task, rows=60, held_out=6)
    with evaluation_mode((objective := set_up(run)).model):
        batch = next(objective.fixed_batches("validation"))
        first = objective.loss(
            objective.model, objective.tensors(batch)
        ).item() / objective.targets(batch)
    seen = trained(run)
    assert math.exp(first) > 20
    assert seen[Finished][0].metrics["perplexity"] < below
    assert seen[Sampled][-1].samples[0].predicted


def test_a_summary_reads_the_beginning_of_a_long_document(home, bases):
    objective = set_up(
        new_run(home, bases, "summarize", rows=3, held_out=3, **{"batch.max_tokens_per_side": 8})
    )
    objective.corpus = type(
        "Rows",
        (),
        {"__getitem__": lambda self, part: [("one two three four five six one two", "1")]},
    )()
    ((source, target),) = objective.encoded("test")
    assert objective.prefix == "summarize: "
    assert len(source) == 8
    assert source[-1] == objective.tokenizer.eos_token_id == target[-1]
    assert "test: 1 documents cut after 8 tokens (batch.max_tokens_per_side)" in objective.remarks


@pytest.mark.parametrize(("reference", "shown"), [("run:first", "run:first"), (None, "model")])
def test_no_exported_file_tells_where_the_base_lay_on_this_machine(home, bases, reference, shown):
    folder = shutil.copytree(bases["bert"], home / "runs" / "first" / "model")
    run = new_run(
        home,
        bases,
        "classify",
        base=reference or folder,
        **{"schedule.max_steps": 1, "lora.rank": 2},
    )
    trained(run)
    files = [path for path in run.model_folder.rglob("*") if path.is_file()]
    assert len(files) >= 7
    assert [path.name for path in files if str(home).encode() in path.read_bytes()] == []
    adapter = json.loads((run.model_folder / "adapter" / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == shown


# Losses against transformers' own


def test_a_translators_loss_is_the_sum_that_transformers_averages(home, bases):
    objective = set_up(
        new_run(
            home, bases, "translate", **{"data.source_language": "en", "data.target_language": "de"}
        )
    )
    model, batch = objective.model.double().eval(), some_batch(objective)
    sources, mask, _, targets = objective.tensors(batch)
    mean = model(input_ids=sources, attention_mask=mask, labels=targets).loss
    count = objective.targets(batch)
    assert count == (targets != -100).sum()
    assert objective.loss(model, objective.tensors(batch)).item() == pytest.approx(
        mean.item() * count, rel=1e-6
    )
    alone = sum(
        objective.loss(model, objective.tensors(one)).item()
        for one in batch.parts(objective.sizes, 1)
    )
    assert alone == pytest.approx(mean.item() * count, rel=1e-6)  # padding changes nothing


def test_a_language_models_loss_is_the_sum_that_transformers_averages(home, bases):
    objective = set_up(new_run(home, bases, "language-model", rows=20))
    model, batch = objective.model.double().eval(), some_batch(objective)
    whole = [item for item in batch.items if len(item) == objective.length + 1]
    mean = model(input_ids=torch.stack(whole), labels=torch.stack(whole)).loss
    one = objective.loss(model, (torch.stack(whole)[:, :-1], torch.stack(whole)[:, 1:]))
    assert one.item() == pytest.approx(mean.item() * len(whole) * objective.length, rel=1e-6)


def test_an_answerers_loss_is_the_sum_that_transformers_averages(home, bases):
    objective = set_up(new_run(home, bases, "answer"))
    model, batch = objective.model.double().eval(), some_batch(objective)
    ids, mask, types, starts, ends = objective.tensors(batch)
    assert len(set(starts.tolist())) > 1
    each = [
        model(
            input_ids=ids[i : i + 1, : int(mask[i].sum())],
            token_type_ids=types[i : i + 1, : int(mask[i].sum())],
            start_positions=starts[i : i + 1],
            end_positions=ends[i : i + 1],
        ).loss.item()
        for i in range(len(ids))
    ]
    assert objective.loss(model, objective.tensors(batch)).item() == pytest.approx(
        sum(each), rel=1e-6
    )
    assert objective.targets(batch) == len(each)


def test_smoothed_labels_give_the_formula(home, bases):
    objective = set_up(new_run(home, bases, "classify"))
    model, batch = objective.model.double().eval(), some_batch(objective)
    ids, mask, labels = objective.tensors(batch)
    log_p = model(input_ids=ids, attention_mask=mask).logits.log_softmax(-1)
    by_hand = -(0.9 * log_p.gather(1, labels[:, None]).sum() + 0.1 * log_p.mean(1).sum())
    assert objective.loss(model, objective.tensors(batch), 0.1).item() == pytest.approx(
        by_hand.item(), rel=1e-6
    )


# Resuming


@pytest.mark.parametrize(
    "settings", [{}, {"lora.rank": 4, "lora.dropout": 0.2}], ids=["all weights", "LoRA"]
)
def test_a_resumed_run_equals_the_uninterrupted_one_to_the_bit(home, bases, settings):
    # An evaluation where it is stopped, too: the extra one of a stop may be the best, and the model
    # be taken from there.
    settings = {**settings, "schedule.max_steps": 9, "evaluation.every_steps": 3}
    whole, broken = (
        new_run(home, bases, "classify", name, **settings) for name in ("whole", "broken")
    )
    expected = trained(whole)[StepDone]
    control, steps = Control(), []
    torch.manual_seed(5)  # another state of the generator than the first run had
    for event in train(broken, control=control):
        if isinstance(event, StepDone):
            steps.append(event)
            if len(steps) == 6:
                control.stop()
    torch.manual_seed(999)  # another cell uses the generator
    steps += trained(find_run(home / "runs", "broken"))[StepDone]
    assert [(e.step, e.loss, e.grad_norm) for e in steps] == [
        (e.step, e.loss, e.grad_norm) for e in expected
    ]
    for file in ("model/model.safetensors", "checkpoints/checkpoint-00000009/model.safetensors"):
        mine, theirs = load_file(broken.folder / file), load_file(whole.folder / file)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_a_run_goes_on_only_from_the_weights_it_began_with(home, bases):
    base = Path(shutil.copytree(bases["bert"], home / "base"))
    run = new_run(home, bases, "classify", base=base, **{"schedule.max_steps": 1})
    trained(run)
    weights = load_file(base / "model.safetensors")
    save_file(
        {name: tensor + 1 for name, tensor in weights.items()},
        base / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(RunError, match="weights have changed"):
        list(train(run))


def test_a_run_from_the_hub_goes_on_from_the_revision_it_began_with(home, bases, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "hub"))
    cache, old, new = home / "hub" / "models--a--b", "1" * 40, "2" * 40
    for commit in (old, new):
        shutil.copytree(bases["bert"], cache / "snapshots" / commit)
    weights = load_file(bases["bert"] / "model.safetensors")
    save_file(
        {name: tensor + 1 for name, tensor in weights.items()},
        cache / "snapshots" / new / "model.safetensors",
        {"format": "pt"},
    )
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(old)
    run = new_run(home, bases, "classify", base="a/b", **{"schedule.max_steps": 1})
    began = set_up(run)
    (cache / "refs" / "main").write_text(new)
    again = set_up(run)
    assert str(began.reference) == str(again.reference) == f"a/b@{old}"
    assert torch.equal(
        began.model.bert.embeddings.word_embeddings.weight,
        again.model.bert.embeddings.word_embeddings.weight,
    )


# LoRA


def test_lora_trains_and_keeps_only_updates_and_the_new_head(home, bases):
    run = new_run(
        home, bases, "classify", **{"lora.rank": 4, "optimizer.lr": 1e-2, "schedule.epochs": 20}
    )
    seen = trained(run)
    assert seen[Finished][0].metrics["accuracy"] >= 95
    path, _ = checkpoint.latest_valid(run.checkpoints)
    kept = checkpoint.weights(path)
    assert (
        sum(tensor.numel() for tensor in kept.values())
        == seen[RunStarted][0].trainable
        < seen[RunStarted][0].parameters / 4
    )
    assert all(any(part in name for part in ("lora_", "classifier", "pooler")) for name in kept)
    base, made = (
        load_file(bases["bert"] / "model.safetensors"),
        load_file(run.model_folder / "model.safetensors"),
    )
    same = {name for name in made if name in base and torch.equal(made[name], base[name])}
    assert set(made) - same == {
        f"bert.encoder.layer.0.attention.self.{name}.weight" for name in ("query", "value")
    } | {name for name in made if "classifier" in name or "pooler" in name}


def test_the_exported_adapter_on_its_base_computes_what_the_merged_model_does(home, bases):
    import peft
    import transformers

    run = new_run(
        home,
        bases,
        "translate",
        **{
            "data.source_language": "en",
            "data.target_language": "de",
            "lora.rank": 4,
            "optimizer.lr": 2e-2,
            "schedule.max_steps": 10,
        },
    )
    trained(run)
    base, made = (
        transformers.T5ForConditionalGeneration.from_pretrained(place)
        for place in (bases["t5"], run.model_folder)
    )
    inputs = {
        "input_ids": torch.tensor([[5, 6, 7, 1]]),
        "decoder_input_ids": torch.tensor([[0, 9, 10]]),
    }
    with torch.no_grad():
        before = base(**inputs).logits
        adapted = peft.PeftModel.from_pretrained(base, run.model_folder / "adapter")(
            **inputs
        ).logits
        merged = made(**inputs).logits
    assert (merged - before).abs().max() > 1e-2
    torch.testing.assert_close(adapted, merged, atol=1e-5, rtol=1e-5)


def test_lora_without_peft_says_how_to_get_it(home, bases, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(RecipeError, match=r"pip install 'llm-magics-notebook\[lora\]'"):
        set_up(new_run(home, bases, "classify", **{"lora.rank": 4}))


def test_unknown_lora_targets_are_named_with_the_known_ones(home, bases):
    with pytest.raises(RecipeError, match=r"'keys'; the linear layers of this model are .*query"):
        set_up(new_run(home, bases, "classify", **{"lora.rank": 4, "lora.targets": ["keys"]}))


# Which weights it begins with


def test_all_but_the_new_head_are_the_weights_of_the_files(home, bases):
    first = set_up(new_run(home, bases, "label-tokens", "first")).model.state_dict()
    torch.manual_seed(77)
    again = set_up(new_run(home, bases, "label-tokens", "again")).model.state_dict()
    other = set_up(new_run(home, bases, "label-tokens", "other", seed=2)).model.state_dict()
    files = load_file(bases["bert"] / "model.safetensors")
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert {name for name in first if not torch.equal(first[name], other[name])} == {
        "classifier.weight"
    }
    assert all(
        torch.equal(first[name], files[name]) for name in first if not name.startswith("classifier")
    )
    objective = set_up(
        new_run(
            home,
            bases,
            "translate",
            "t5",
            **{"data.source_language": "en", "data.target_language": "de"},
        )
    )
    files = load_file(bases["t5"] / "model.safetensors")
    assert all(
        torch.equal(objective.model.state_dict()[name], tensor) for name, tensor in files.items()
    )


def test_the_head_of_a_masked_language_model_stays_whatever_class_wrote_it(home, bases):
    base = Path(shutil.copytree(bases["bert"], home / "base"))
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(
        json.dumps({**config, "architectures": ["BertForPreTraining"]})
    )
    made = set_up(new_run(home, bases, "masked-language-model", base=base)).model.state_dict()
    assert all(
        torch.equal(made[name], tensor)
        for name, tensor in load_file(base / "model.safetensors").items()
    )


def test_a_head_of_the_same_labels_stays_and_one_of_other_labels_does_not(home, bases):
    run = new_run(home, bases, "classify", "first", **{"schedule.max_steps": 2})
    trained(run)
    config = json.loads((run.model_folder / "config.json").read_text())
    config |= {
        "id2label": {"0": "GOOD", "1": "BAD"},
        "label2id": {"GOOD": 0, "BAD": 1},
    }  # in another order than sorted
    (run.model_folder / "config.json").write_text(json.dumps(config))
    head = load_file(run.model_folder / "model.safetensors")["classifier.weight"]
    same = set_up(new_run(home, bases, "classify", "second", base="run:first"))
    assert same.labels == ["good", "bad"]
    assert torch.equal(same.model.classifier.weight, head)
    config |= {"id2label": {"0": "yes", "1": "no"}, "label2id": {"yes": 0, "no": 1}}
    (run.model_folder / "config.json").write_text(json.dumps(config))
    other = set_up(new_run(home, bases, "classify", "third", base="run:first"))
    assert not torch.equal(other.model.classifier.weight, head)
    assert any("classifier" in line for line in other.remarks)


def test_a_base_that_lacks_a_layer_is_refused(home, bases):
    base = Path(shutil.copytree(bases["bert"], home / "base"))
    weights = load_file(base / "model.safetensors")
    del weights["bert.encoder.layer.0.output.dense.weight"]
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(BrokenModel, match=r"layer\.0\.output\.dense\.weight"):
        set_up(new_run(home, bases, "classify", base=base))


@pytest.mark.parametrize(
    ("task", "base", "settings", "says"),
    [
        ("translate", "embedded:en-de", {}, "cannot be fine-tuned"),
        ("translate", "openai:gpt", {}, "cannot be fine-tuned"),
        ("translate", "bert", {}, "its family bert has no Seq2SeqLM form"),
        ("translate", "t5", {}, "give data.source_language"),
        ("masked-language-model", "llama", {}, "has no MaskedLM form"),
        ("classify", "bert", {"augmentation.join": 0.5}, "augmentation.join is not done"),
        ("classify", "bert", {"augmentation.drop": 0.5}, "augmentation.drop is not done"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(home, bases, task, base, settings, says):
    run = new_run(home, bases, task, base=bases.get(base, base), **settings)
    with pytest.raises(LLMMagicsError, match=says):
        set_up(run)


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        (
            "BertForSequenceClassification",
            "; or train this one on for what it is made for: --task classify",
        ),
        ("BertModel", "DATA"),
    ],
)
def test_a_checkpoint_with_another_head_says_what_it_holds_and_what_the_task_needs(
    home, bases, kind, hint
):
    import transformers

    config = transformers.BertConfig.from_pretrained(bases["bert"])
    folder = saved(
        home / "other",
        getattr(transformers, kind)(config),
        transformers.AutoTokenizer.from_pretrained(bases["bert"]),
    )
    with pytest.raises(RecipeError) as caught:
        set_up(new_run(home, bases, "masked-language-model", base=folder))
    message = str(caught.value)
    assert f"holds a {kind}, but task = 'masked-language-model' needs a BertForMaskedLM" in message
    assert "%train ORGANISATION/NAME --task masked-language-model --data DATA" in message
    assert message.endswith(hint)


def test_a_house_model_is_refused(home, bases, tiny_builders):
    folder = tiny_builders["house"](home / "house")
    with pytest.raises(RecipeError, match="trained from scratch here"):
        set_up(new_run(home, bases, "translate", base=folder))


def test_rows_are_no_longer_than_the_model_reads(home, bases):
    objective = set_up(new_run(home, bases, "classify", **{"batch.max_tokens_per_side": 500}))
    assert objective.longest == 48
    assert (
        "the model reads at most 48 tokens; batch.max_tokens_per_side is 48, not 500"
        in objective.remarks
    )


# How rows become tokens


@pytest.mark.parametrize(
    ("family", "source", "target"),
    [
        ("marian", "en", "de"),
        ("m2m_100", "en", "de"),
        ("nllb", "en", "de"),
        ("bart", "", ""),
        ("pegasus", "", ""),
    ],
)
def test_every_family_of_translators_gets_its_own_marks(
    home, bases, tiny_builders, family, source, target
):
    base = tiny_builders[family](home / ("opus-mt-en-de" if family == "marian" else family))
    objective = set_up(
        new_run(
            home,
            bases,
            "translate",
            base=base,
            rows=10,
            held_out=3,
            **{"data.source_language": source, "data.target_language": target},
        )
    )
    tokenizer, model = objective.tokenizer, objective.model.eval()
    if family in ("m2m_100", "nllb"):
        code = {"m2m_100": ("__en__", "__de__"), "nllb": ("eng_Latn", "deu_Latn")}[family]
        read, written = (
            tokenizer.convert_ids_to_tokens(side) for side in objective.items["train"][0]
        )
        assert (read[0], written[0]) == code
    sources, mask, inputs, targets = objective.tensors(some_batch(objective))
    assert set(inputs[:, 0].tolist()) == {model.config.decoder_start_token_id}
    counted = targets[:, :-1] != -100
    assert torch.equal(inputs[:, 1:][counted], targets[:, :-1][counted])
    mean = model(input_ids=sources, attention_mask=mask, labels=targets).loss
    assert objective.loss(model, (sources, mask, inputs, targets)).item() == pytest.approx(
        mean.item() * (targets != -100).sum().item(), rel=1e-4
    )
    with evaluation_mode(model):
        assert len(objective.predict(model, "validation", beams=2)) == 3


def test_a_marian_model_of_several_languages_is_told_which_to_write(home, bases, tiny_builders):
    base = tiny_builders["marian"](home / "opus-mt-en-mul", prefixes=(">>deu<<", ">>fra<<"))
    languages = {"data.source_language": "en", "data.target_language": "fr"}
    objective = set_up(
        new_run(home, bases, "translate", base=base, rows=5, held_out=2, **languages)
    )
    assert objective.prefix == ">>fra<< "
    assert objective.tokenizer.convert_ids_to_tokens(objective.items["train"][0][0])[0] == ">>fra<<"
    with pytest.raises(RecipeError, match=r"data.target_language = 'zh' is none of"):
        set_up(
            new_run(
                home,
                bases,
                "translate",
                "other",
                base=base,
                **{**languages, "data.target_language": "zh"},
            )
        )


def test_the_texts_of_a_language_model_are_one_stream_with_ends_between_them(home, bases):
    objective = set_up(new_run(home, bases, "language-model", rows=20))
    stream, end = objective.streams["train"].tolist(), objective.tokenizer.eos_token_id
    texts = [text for (text,) in objective.corpus.train]
    assert stream.count(end) == len(texts) - 1
    assert stream[: len(texts[0].split()) + 1] == [*objective.tokenizer(texts[0])["input_ids"], end]
    assert stream[-1] == objective.tokenizer(texts[-1])["input_ids"][-1]


def test_a_masked_piece_keeps_the_marks_and_asks_for_what_it_hides(home, bases):
    objective = set_up(new_run(home, bases, "masked-language-model", rows=20))
    first, again = (some_batch(objective) for _ in range(2))
    assert first == again != next(iter(objective.batches(1)))
    asked = kept = masked = 0
    for inputs, targets in first.items:
        pieces = objective.tokenizer.convert_ids_to_tokens(inputs)
        assert (pieces[0], pieces[-1]) == ("[CLS]", "[SEP]")
        assert len(inputs) <= 40
        hidden = [(i, t) for i, t in zip(inputs, targets, strict=True) if t != -100]
        asked, masked = (
            asked + len(hidden),
            masked + sum(i == objective.tokenizer.mask_token_id for i, _ in hidden),
        )
        kept += sum(i == t for i, t in hidden)
    assert 0.1 < asked / first.real < 0.2
    assert 0.65 < masked / asked < 0.95
    assert kept < asked - masked + 1


def test_only_the_first_token_of_a_word_is_asked_for_its_tag(home, bases, tiny_builders):
    base = tiny_builders["bert"](home / "pieces")
    objective = set_up(new_run(home, bases, "label-tokens", base=base, rows=20))
    assert any(
        len(ids) > len(row[0])
        for (ids, _), row in zip(objective.items["train"], objective.corpus.train, strict=False)
    )
    for (ids, targets), (words, tags) in zip(
        objective.items["train"], objective.corpus.train, strict=True
    ):
        asked = [place for place, target in enumerate(targets) if target != -100]
        assert [objective.labels[targets[place]] for place in asked] == tags
        pieces = objective.tokenizer.convert_ids_to_tokens(ids)
        starts = [piece.lstrip("▁") for piece in (pieces[place] for place in asked)]
        assert all(
            start == "<unk>" or word.startswith(start)
            for word, start in zip(words, starts, strict=True)
        )


def test_the_windows_of_a_context_hold_all_of_it_and_the_answer(home, bases):
    objective = set_up(new_run(home, bases, "answer", rows=40, held_out=5))
    held = {}
    for window in objective.items["train"]:
        _, context, answers = objective.corpus.train[window.row]
        assert len(window.ids) <= 40
        held.setdefault(window.row, set()).update(
            i for place in window.offsets if place for i in range(*place)
        )
        if window.end:
            first, last = window.offsets[window.start], window.offsets[window.end]
            assert context[first[0] : last[1]] == answers[0][0]
    for row, (_, context, answers) in enumerate(objective.corpus.train):
        assert held[row] == {i for i, character in enumerate(context) if character != " "}
        assert any(window.end for window in objective.items["train"] if window.row == row) == bool(
            answers
        )
    assert max(sum(window.row == row for window in objective.items["train"]) for row in held) > 1


def test_an_answer_that_is_cut_off_counts_as_none():
    offsets = [None, None, (0, 3), (4, 7), (8, 11), None]
    assert _target(offsets, [("bcd", 4)]) == (3, 3)
    assert _target(offsets, [("abc bcd", 0)]) == (2, 3)
    assert _target(offsets, [("cde def", 8)]) == (0, 0)
    assert _target(offsets, []) == (0, 0)


def test_the_best_span_is_that_of_all_pairs():
    rng = torch.Generator().manual_seed(0)
    for _ in range(30):
        starts, ends = torch.randn(18, generator=rng), torch.randn(18, generator=rng)
        offsets = [None, None, *((3 * i, 3 * i + 2) for i in range(15)), None]
        score, first, last = max(
            (float(starts[i] + ends[j]), offsets[i][0], offsets[j][1])
            for i, j in itertools.combinations_with_replacement(range(2, 17), 2)
        )
        assert _best_span(starts, ends, offsets) == (pytest.approx(score), first, last)


def test_noise_leaves_the_marks_of_the_model_where_they_are(home, bases, tiny_builders):
    base = tiny_builders["nllb"](home / "nllb")
    objective = set_up(
        new_run(
            home,
            bases,
            "translate",
            base=base,
            rows=10,
            held_out=2,
            **{
                "data.source_language": "en",
                "data.target_language": "de",
                "augmentation.drop": 0.5,
                "augmentation.swap": 0.5,
            },
        )
    )
    items = objective.items["train"]
    noisy = objective.augmented(items, random.Random(0))
    assert [target for _, target in noisy] == [target for _, target in items]
    assert any(len(one[0]) < len(other[0]) for one, other in zip(noisy, items, strict=True))
    assert all(
        (one[0][0], one[0][-1]) == (other[0][0], other[0][-1])
        for one, other in zip(noisy, items, strict=True)
    )
