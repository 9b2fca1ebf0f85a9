"""Every task from scratch: it learns a rule from generated rows, is exported, and loads as
run:NAME."""

from __future__ import annotations

import base64
import importlib
import math
import random

import pytest
import torch

from llm_magics.errors import DataError, InputError, RecipeError
from llm_magics.models.folder.native import load_native, native_kind
from llm_magics.training.objectives.base import Objective
from llm_magics.training.recipe.recipe import recipe_from_dict
from llm_magics.training.run.control import Control
from llm_magics.training.run.events import AttentionSeen, Evaluated, Finished, Sampled, StepDone
from llm_magics.training.run.loop import train
from llm_magics.training.run.setup import Given
from llm_magics.training.runs.runs import create_run

SMALL = {
    "d_model": 32,
    "embedding_size": 16,
    "nhead": 2,
    "num_layers": 1,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "dim_feedforward": 64,
    "dropout": 0.0,
}


def run_of(root, task, rows, *, model, given=None, **tables):
    recipe = {
        "name": "learn",
        "task": task,
        "seed": 1,
        "data": {"source": "notebook"},
        "model": {**SMALL, **model},
        "optimizer": {"lr": 5e-3},
        "schedule": {"epochs": 12, "warmup_steps": 5},
        "batch": {"tokens": 300},
        "evaluation": {"every_steps": 20, "rows": 30},
    }
    for table, values in tables.items():
        recipe[table] = {**recipe.get(table, {}), **values}
    return create_run(root, recipe_from_dict(recipe)), given or Given(data={"train": rows})


def learned(root, task, rows, **settings):
    run, given = run_of(root, task, rows, **settings)
    events = list(train(run, given=given))
    return run, events


def reversed_words(count=400, seed=0):
    """Words spelt backwards, letter by letter: nothing but attention or a good memory can do it."""
    rng = random.Random(seed)
    words = ["".join(rng.choice("abcd") for _ in range(rng.randint(2, 4))) for _ in range(count)]
    return [{"source": word, "target": word[::-1]} for word in words]


@pytest.mark.parametrize(
    ("architecture", "attention"),
    [("lstm", "none"), ("gru", "context"), ("gru", "additive"), ("transformer", "additive")],
)
def test_every_rung_of_the_ladder_learns_and_is_exported(tmp_path, architecture, attention):
    run, events = learned(
        tmp_path,
        "translate",
        reversed_words(),
        model={"architecture": architecture, "attention": attention},
        tokenizer={"kind": "char", "vocab_size": 20, "shared": False},
        evaluation={"metric": "exact_match"},
        cleaning={"deduplicate": False, "remove_overlap": False},
        optimizer={"lr": 1e-2},
        schedule={"epochs": 40 if architecture == "lstm" else 25},
    )
    losses = [e.loss for e in events if isinstance(e, Evaluated)]
    assert losses[-1] < 0.6 * losses[0]
    assert events[-1].metrics["exact_match"] > 10
    module, tokenizer, config = load_native(run.model_folder)
    assert config["architecture"] == (
        "Seq2SeqModel" if architecture == "transformer" else "RecurrentSeq2Seq"
    )
    assert tokenizer.encode_source(["ab"])[0][-1] == 2
    assert native_kind(module) == "seq2seq"
    seen = [e for e in events if isinstance(e, AttentionSeen)]
    assert bool(seen) == (architecture == "transformer" or attention == "additive")
    if seen and architecture == "gru":
        width = len(seen[-1].columns)
        row = [(byte / 255) ** 2 for byte in base64.b64decode(seen[-1].maps)[:width]]
        assert sum(row) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("architecture", ["transformer", "lstm", "gru", "rnn"])
def test_a_language_model_learns_what_follows_what(tmp_path, architecture):
    path = tmp_path / "text.txt"
    path.write_text("abcdefgh\n" * 300)
    run, events = learned(
        tmp_path,
        "language-model",
        str(path),
        model={"architecture": architecture},
        data={"source": "files", "train": str(path), "validation_share": 0.1},
        given=Given(),
        tokenizer={"kind": "char", "vocab_size": 50},
        batch={"tokens": 320, "max_tokens_per_side": 20},
    )
    final = events[-1]
    assert isinstance(final, Finished)
    assert final.metrics["perplexity"] < 1.5
    assert (
        "\n" in [e for e in events if isinstance(e, Sampled)][-1].samples[0].predicted
    )  # line ends are learnt, too
    module, tokenizer, _ = load_native(run.model_folder)
    ids = torch.tensor([tokenizer.encode_source(["abc"])[0][:-1]])
    assert tokenizer.decode_target([module(ids)[0, -1].argmax().item()]) == "d"
    assert native_kind(module) == "causal"


def test_the_language_models_loss_is_the_mean_over_every_token_of_the_held_out_text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("hello world, again and again.\n" * 40)
    run, given = run_of(
        tmp_path,
        "language-model",
        None,
        model={},
        given=Given(),
        schedule={"max_steps": 3},
        data={"source": "files", "train": str(path), "validation_share": 0.25},
        tokenizer={"kind": "char", "vocab_size": 50},
        batch={"tokens": 100, "max_tokens_per_side": 25},
    )
    events = list(train(run, given=given))
    module, tokenizer, _ = load_native(run.model_folder)
    text = path.read_text()
    ids = torch.tensor(tokenizer.encode_source([text[round(len(text) * 0.75) :]])[0][:-1])
    total, count = 0.0, 0
    for start in range(0, len(ids) - 1, 25):
        piece = ids[start : start + 26]
        log_p = module(piece[None, :-1])[0].log_softmax(-1)
        total -= log_p.gather(1, piece[1:, None]).sum().item()
        count += len(piece) - 1
    assert count == len(ids) - 1
    assert [e for e in events if isinstance(e, Evaluated)][-1].loss == pytest.approx(
        total / count, rel=1e-5
    )


def test_a_masked_language_model_learns_to_fill_gaps(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("abcdefgh" * 600)
    run, events = learned(
        tmp_path,
        "masked-language-model",
        None,
        model={},
        given=Given(),
        data={"source": "files", "train": str(path), "validation_share": 0.1},
        tokenizer={"kind": "char", "vocab_size": 50},
        batch={"tokens": 320, "max_tokens_per_side": 16},
        optimizer={"lr": 1e-2},
        schedule={"epochs": 40},
    )
    assert events[-1].metrics["perplexity"] < 4.0  # of 8 equally frequent letters
    sample = [e for e in events if isinstance(e, Sampled)][-1].samples[0]
    assert "[]" in sample.given
    assert sample.expected.replace("[", "").replace("]", "") in "abcdefgh" * 10
    module, _, config = load_native(run.model_folder)
    assert config["special"]["mask"] == config["arguments"]["vocab_size"] - 1
    assert native_kind(module) == "encoder"


def moods(count=300, seed=0):
    rng = random.Random(seed)
    good, bad, neutral = (
        ["good", "fine", "great"],
        ["bad", "poor", "awful"],
        ["film", "book", "day", "the", "a"],
    )
    rows = []
    for _ in range(count):
        label = rng.choice(["+", "-"])
        words = [
            *rng.choices(neutral, k=rng.randint(2, 6)),
            rng.choice(good if label == "+" else bad),
        ]
        rng.shuffle(words)
        rows.append({"text": " ".join(words), "label": label})
    return rows


@pytest.mark.parametrize(
    "architecture", ["softmax-regression", "rnn", "lstm", "gru", "transformer"]
)
def test_a_classifier_learns_the_words_that_matter(tmp_path, architecture):
    run, events = learned(
        tmp_path,
        "classify",
        moods(),
        model={"architecture": architecture},
        tokenizer={"kind": "word", "vocab_size": 40, "min_frequency": 1},
        cleaning={"deduplicate": False, "remove_overlap": False},
        optimizer={"lr": 0.1 if architecture == "softmax-regression" else 1e-2},
        schedule={"epochs": 12},
    )
    assert events[-1].metrics["accuracy"] > 95
    assert events[-1].metrics["macro_f1"] > 95
    sample = [e for e in events if isinstance(e, Sampled)][-1].samples[0]
    assert sample.predicted in "+-"
    _, _, config = load_native(run.model_folder)
    assert config["labels"] == ["+", "-"]


@pytest.mark.parametrize("architecture", ["lstm", "transformer"])
def test_a_tagger_learns_a_tag_that_depends_on_the_word_before(tmp_path, architecture):
    rng = random.Random(0)
    rows = []
    for _ in range(250):
        tokens = [
            rng.choice(["Mr", "saw", "Bell", "Reed", "tree"]) for _ in range(rng.randint(3, 7))
        ]
        tags = [
            "B-PER" if i and tokens[i - 1] == "Mr" and t in ("Bell", "Reed") else "O"
            for i, t in enumerate(tokens)
        ]
        rows.append({"tokens": tokens, "tags": tags})
    _, events = learned(
        tmp_path,
        "label-tokens",
        rows,
        model={"architecture": architecture},
        tokenizer={"kind": "word", "vocab_size": 40, "min_frequency": 1},
        cleaning={"deduplicate": False, "remove_overlap": False},
        optimizer={"lr": 1e-2},
        schedule={"epochs": 25 if architecture == "lstm" else 60},
    )
    assert events[-1].metrics["entity_f1"] > 90
    assert events[-1].metrics["accuracy"] > 97


def test_a_label_that_training_never_saw_is_an_error_not_a_wrong_figure(tmp_path):
    run, given = run_of(
        tmp_path,
        "classify",
        None,
        model={},
        given=Given(
            data={"train": moods(50), "validation": [{"text": "a fine day", "label": "?"}]}
        ),
    )
    with pytest.raises(DataError, match="labels that no training row has: \\?"):
        next(train(run, given=given))


def test_an_architecture_that_cannot_do_the_task_says_which_can(tmp_path):
    run, given = run_of(
        tmp_path, "translate", reversed_words(30), model={"architecture": "softmax-regression"}
    )
    with pytest.raises(
        RecipeError, match="softmax-regression classifies texts; .* choose transformer"
    ):
        next(train(run, given=given))
    run, given = run_of(tmp_path, "classify", moods(30), model={}, evaluation={"metric": "bleu"})
    with pytest.raises(
        RecipeError, match="'bleu' does not fit task = 'classify'; choose accuracy, macro_f1"
    ):
        next(train(run, given=given))


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, x):
        return self.linear(x)[:, 0]


def points(count=200):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, 2, generator=generator)
    return torch.utils.data.TensorDataset(x, 3 * x[:, 0] - 2 * x[:, 1] + 1)


@pytest.mark.parametrize(
    "loss", ["mse", torch.nn.functional.l1_loss, lambda out, y: ((out - y) ** 2).mean()]
)
def test_a_module_and_a_dataset_of_the_notebook_are_trained_in_place(tmp_path, loss):
    module = Line()
    run, given = run_of(
        tmp_path,
        "custom",
        None,
        model={},
        optimizer={"lr": 0.1},
        schedule={"epochs": 60, "warmup_steps": 1},
        given=Given(data={"train": points()}, module=module, loss=loss),
    )
    events = list(train(run, given=given))
    assert events[-1].metrics["loss"] < 0.03
    assert module.linear.weight.tolist()[0] == pytest.approx([3, -2], abs=0.3)
    assert (run.model_folder / "model.safetensors").is_file()


def test_a_custom_run_goes_on_where_it_stopped_when_its_objects_are_given_again(tmp_path):
    torch.manual_seed(0)
    start = {name: value.clone() for name, value in Line().state_dict().items()}

    def fresh():
        module = Line()
        module.load_state_dict(start)
        return Given(data={"train": points()}, module=module, loss="mse")

    whole, given = run_of(tmp_path, "custom", None, model={}, given=fresh())
    list(train(whole, given=given))
    broken, again = run_of(tmp_path, "custom", None, model={}, given=fresh())
    control = Control()
    for event in train(broken, given=again, control=control):
        if isinstance(event, StepDone) and event.step == 7:
            control.stop()
    resumed = fresh()
    list(train(broken, given=resumed))
    assert torch.equal(resumed.module.linear.weight, given.module.linear.weight)
    with pytest.raises(InputError, match="give the torch.nn.Module again"):
        next(train(broken, given=Given(data={"train": points()})))


def test_a_loss_that_is_no_number_is_refused(tmp_path):
    run, given = run_of(
        tmp_path,
        "custom",
        None,
        model={},
        given=Given(data={"train": points()}, module=Line(), loss=lambda out, y: out - y),
    )
    with pytest.raises(InputError, match="the loss must be one number"):
        list(train(run, given=given))
    run, given = run_of(
        tmp_path,
        "custom",
        None,
        model={},
        given=Given(data={"train": points()}, module=Line(), loss="mze"),
    )
    with pytest.raises(InputError, match="one of cross_entropy, mse"):
        next(train(run, given=given))


def test_without_validation_rows_the_model_is_the_one_at_the_end_and_no_loss_is_told(tmp_path):
    module = Line()
    run, given = run_of(
        tmp_path,
        "custom",
        None,
        model={},
        optimizer={"lr": 0.1},
        schedule={"epochs": 60, "warmup_steps": 1},
        data={"validation_share": 0.0},
        given=Given(data={"train": points()}, module=module, loss="mse"),
    )
    events = list(train(run, given=given))
    assert not any(isinstance(event, Evaluated) for event in events)
    assert module.linear.weight.tolist()[0] == pytest.approx([3, -2], abs=0.3)
    assert "the weights at the end" in (run.model_folder / "card.md").read_text("utf-8")


def test_a_loss_number_by_number_refuses_shapes_that_torch_would_stretch(tmp_path):
    run, given = run_of(
        tmp_path,
        "custom",
        None,
        model={},
        given=Given(data={"train": points()}, module=torch.nn.Linear(2, 1), loss="mse"),
    )
    with pytest.raises(InputError, match=r"the output is \(32, 1\) and the target \(32,\)"):
        list(train(run, given=given))


def test_softmax_regression_reaches_the_minimum_that_is_known(tmp_path):
    """Two words, two labels, the shares of which are known: the best loss is the entropy of the
    labels given the word."""
    rows = (
        [{"text": "x", "label": "a"}] * 30
        + [{"text": "x", "label": "b"}] * 10
        + [{"text": "y", "label": "a"}] * 8
        + [{"text": "y", "label": "b"}] * 32
    )
    run, given = run_of(
        tmp_path,
        "classify",
        None,
        model={"architecture": "softmax-regression"},
        tokenizer={"kind": "word", "vocab_size": 10, "min_frequency": 1},
        given=Given(data={"train": rows, "validation": rows}),
        cleaning={"deduplicate": False, "remove_overlap": False},
        optimizer={"lr": 0.3},
        schedule={"epochs": 60, "warmup_steps": 1},
        batch={"tokens": 10_000},
    )
    events = list(train(run, given=given))
    entropy = (
        -(30 * math.log(0.75) + 10 * math.log(0.25) + 8 * math.log(0.2) + 32 * math.log(0.8)) / 80
    )
    assert min(e.loss for e in events if isinstance(e, Evaluated)) == pytest.approx(
        entropy, abs=2e-3
    )


def test_every_task_has_an_objective_and_every_optimizer_a_maker():
    from llm_magics.training.objectives import FINE_TUNED, FROM_SCRATCH
    from llm_magics.training.recipe.recipe import OPTIMIZERS, TASKS
    from llm_magics.training.run.optimizers import MAKERS

    assert {*FROM_SCRATCH, *FINE_TUNED} == set(TASKS)
    assert set(MAKERS) == set(OPTIMIZERS)
    for path in (*FROM_SCRATCH.values(), *FINE_TUNED.values()):
        module, _, name = path.partition(":")
        found = getattr(importlib.import_module(f"llm_magics.training.objectives.{module}"), name)
        assert issubclass(found, Objective), path
