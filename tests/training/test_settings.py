"""Which settings mean something to which training, and which differences are worth a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_magics.errors import RecipeError
from llm_magics.magics.training.train import TrainMagic
from llm_magics.training.recipe.recipe import SETTINGS, TABLES, recipe_from_dict
from llm_magics.training.recipe.request import SAID
from llm_magics.training.recipe.settings import (
    check_meaning,
    matters,
    settings_table,
    telling_differences,
)

DATA = {"train": "rows.jsonl"}


def recipe(task="translate", **tables):
    return recipe_from_dict({"task": task, "data": DATA, **tables})


BERT = {"model": {"reference": "org/bert"}}
GRU = {"model": {"architecture": "gru"}}
MODULE = recipe_from_dict({"task": "custom", "data": {"source": "notebook"}})


@pytest.mark.parametrize(
    ("made", "given", "message"),
    [
        (
            recipe("classify", **BERT),
            "tokenizer.kind",
            "^--tokenizer is for a model that is built from scratch; org/bert is fine",
        ),
        (recipe("classify", **BERT), "tokenizer.vocab_size", "^--vocab is for"),
        (
            recipe("classify", **BERT),
            "model.dropout",
            "^model.dropout is for a model that is built from scratch",
        ),
        (
            recipe("classify"),
            "from",
            (
                "^--from is for translate and summarize; this is classify with the architecture "
                "transformer"
            ),
        ),
        (MODULE, "to", "^--to is for translate and summarize; a module of the notebook"),
        (MODULE, "fields", "^--fields is for models of text"),
        (MODULE, "batch.tokens", "^--batch is for models of text"),
        (MODULE, "data.skip_bad_rows", "^--skip-bad-rows is for models of text"),
        (MODULE, "data.group", "^data.group is for models of text"),
        (
            recipe("classify"),
            "tokenizer.shared",
            "^tokenizer.shared is for a translator, a summariser or a language model",
        ),
        (recipe("classify"), "loss", "^--loss is for a module of the notebook"),
        (
            recipe("translate"),
            "lora.rank",
            "^--lora is for a transformers model that is fine-tuned",
        ),
        (
            recipe("label-tokens"),
            "augmentation.drop",
            "^--augment drop is for translate, summarize and classify",
        ),
        (recipe("translate", **GRU), "model.nhead", "^model.nhead is for a transformer"),
        (
            recipe("translate", optimizer={"name": "sgd"}),
            "optimizer.momentum",
            "is for the optimizer momentum",
        ),
    ],
)
def test_a_setting_that_means_nothing_is_an_error_that_names_it_and_the_reason(
    made, given, message
):
    with pytest.raises(RecipeError, match=message):
        check_meaning(made, ["seed", given], SAID)


@pytest.mark.parametrize(
    ("made", "given"),
    [
        (
            recipe("translate"),
            [
                "from",
                "to",
                "fields",
                "tokenizer.kind",
                "model.nhead",
                "augmentation.join",
                "optimizer.betas",
            ],
        ),
        (
            recipe("classify", **BERT),
            ["fields", "lora.rank", "batch.tokens", "data.skip_bad_rows", "model.reference"],
        ),
        (
            MODULE,
            [
                "loss",
                "batch.rows",
                "optimizer.lr",
                "schedule.epochs",
                "evaluation.patience",
                "compute.compile",
            ],
        ),
        (
            recipe("translate", **GRU),
            ["model.attention", "model.bidirectional", "model.d_model", "model.num_encoder_layers"],
        ),
        (recipe("language-model", **GRU), ["model.embedding_size", "model.num_layers"]),
        (
            recipe("language-model"),
            ["tokenizer.shared", "data.also"],
        ),  # as the recipe "induction" says it
        (recipe("answer", **BERT), ["data.group", "data.test_groups"]),
    ],
)
def test_a_setting_that_means_something_passes(made, given):
    check_meaning(made, given, SAID)


def test_what_is_declared_covers_every_setting_and_the_options_that_set_one():
    document = recipe().to_dict()
    dotted = {
        f"{table}.{name}"
        for table, values in document.items()
        if table in TABLES
        for name in values
    }
    assert set(SETTINGS) == dotted | set(document)
    options = {option.flag: option for option in TrainMagic.options}
    for name, one in SETTINGS.items():
        if one.option:
            assert one.option in options, name
            assert options[one.option].choices == one.one_of, name
    with pytest.raises(RecipeError, match=r"optimizer.lr = 0.0: expected a number above 0"):
        recipe(optimizer={"lr": 0.0})
    with pytest.raises(RecipeError, match=r"model.dropout = 1.0: expected a share"):
        recipe(model={"dropout": 1.0})


def test_the_table_of_settings_in_the_readme_is_the_declared_one():
    readme = Path(__file__).parents[2] / "llm_magics/training/recipes/README.md"
    table = settings_table()
    assert table in readme.read_text("utf-8"), f"the table should read:\n{table}"


def test_an_option_of_train_takes_the_range_that_its_setting_declares():
    options = {option.flag: option for option in TrainMagic.options}
    ranged = {name: one for name, one in SETTINGS.items() if one.typed}
    assert len(ranged) > 5
    for name, one in ranged.items():
        converter = options[one.option].convert
        assert (converter.low, converter.high) == one.typed, name


@pytest.mark.parametrize(
    ("spelling", "kept"), [("bf16", "bfloat16"), ("FP32", "float32"), ("auto", "auto")]
)
def test_a_number_format_is_kept_in_one_spelling(spelling, kept):
    assert recipe(compute={"precision": spelling}).compute.precision == kept
    assert recipe().with_settings({"compute.precision": spelling}).compute.precision == kept


@pytest.mark.parametrize("spelling", ["fp16", "int8", "fp8"])
def test_a_number_format_that_a_training_cannot_have_is_refused(spelling):
    with pytest.raises(RecipeError, match="^compute.precision = "):
        recipe(compute={"precision": spelling})


def test_only_differences_that_can_have_mattered_are_told():
    one = recipe(
        "classify", name="a", description="first", model={"architecture": "gru", "nhead": 2}
    )
    two = recipe_from_dict(
        {
            "task": "classify",
            "name": "b",
            "description": "second",
            "seed": 2,
            "data": {"train": "elsewhere/rows.jsonl", "licence": "mit"},
            "model": {"architecture": "gru", "nhead": 4},
        }
    )
    assert telling_differences([one, two]) == {"seed": (0, 2)}
    other = recipe_from_dict({**two.to_dict(), "data": {"train": "elsewhere/others.jsonl"}})
    assert telling_differences([one, other])["data.train"] == (
        "rows.jsonl",
        "elsewhere/others.jsonl",
    )
    wide = recipe_from_dict({**two.to_dict(), "model": {"architecture": "transformer", "nhead": 4}})
    assert telling_differences([one, wide])["model.nhead"] == (2, 4)
    assert not matters(one, "name")
