"""The methods by name, in one table."""

from __future__ import annotations

from collections.abc import Callable

from disasymnet.errors import RecipeError
from disasymnet.methods.base import Method
from disasymnet.methods.disasymnet import DisAsymNet
from disasymnet.recipe import Recipe

METHODS: dict[str, Callable[[Recipe], Method]] = {
    "disasymnet": DisAsymNet,
}


def build(recipe: Recipe) -> Method:
    """The recipe's method with fresh weights (seed the generator before)."""
    if recipe.method not in METHODS:
        raise RecipeError(f"no method is called {recipe.method!r}", hint="Methods: " + ", ".join(METHODS))
    return METHODS[recipe.method](recipe)
