"""Which settings mean something to which training, and which differences are worth a line."""

from __future__ import annotations

import pytest

from llm_magics.errors import RecipeError
from llm_magics.training.recipe.recipe import recipe_from_dict
from llm_magics.training.recipe.request import SAID
from llm_magics.training.recipe.settings import _SCOPES, check_meaning, matters, telling_differences

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


def test_every_entry_of_the_table_is_a_setting_of_a_recipe():
    document = recipe().to_dict()
    for name in _SCOPES:
        table, _, setting = name.partition(".")
        assert name in ("from", "to", "fields", "loss") or (
            setting in document[table] if setting else table in document
        ), name


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
