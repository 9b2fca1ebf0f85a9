"""Recipes: what they refuse, and in which words."""

from __future__ import annotations

import pytest

from llm_magics.errors import RecipeError
from llm_magics.training.recipe.recipe import (
    Recipe,
    load_recipe,
    parse_recipe,
    recipe_from_dict,
    shipped_recipes,
)

SMALL = '[data]\nsource = "number-words"\n'


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_valid_and_survives_a_round_trip(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    assert recipe_from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (SMALL + "[optimizer]\nlearning_rte = 1", "unknown setting optimizer.learning_rte"),
        (SMALL + "[model]\nd_mdel = 8", "did you mean model.d_model?"),
        (SMALL + "[schedule]\nkind = 'cosin'", "did you mean 'cosine'?"),
        (SMALL + "[model]\nd_model = 10\nnhead = 4", "not divisible by model.nhead = 4"),
        (SMALL + "[optimizer]\nlr = -1.0", "optimizer.lr = -1.0: expected a number above 0"),
        (SMALL + "[batch]\ntokens = 'many'", "expected int, got str"),
        (SMALL + "[batch]\ntokens = true", "expected int, got bool"),
        ("[data]\nsource = 'files'", "data.train names no training data"),
        (SMALL + "[model]\ndropout = 1.0", "model.dropout = 1.0: expected a share"),
        (SMALL + "[data.fields]\nsource = 3", "expected a table of names"),
        (SMALL + "[augmentation]\ndrop = -0.1", "augmentation.drop = -0.1: expected a share"),
        ("task = 'translat'\n" + SMALL, "did you mean 'translate'?"),
        ("data = 3", r"\[data\] must be a table"),
        ("= broken", "not valid TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_line(toml, message):
    with pytest.raises(RecipeError, match=message) as caught:
        parse_recipe(toml)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_suggests_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'number-words'?"):
        load_recipe("number-word")


def test_settings_change_by_dotted_name():
    recipe = parse_recipe(SMALL).with_settings({"schedule.epochs": 3, "seed": 5})
    assert (recipe.schedule.epochs, recipe.seed) == (3.0, 5)
    assert isinstance(recipe, Recipe)
