"""The methods by name, in one table: the paper's, those it is compared with, and AsymMirai's rule."""

from __future__ import annotations

from collections.abc import Callable

from disasymnet.errors import RecipeError
from disasymnet.methods.asym_attention import AsymAttention
from disasymnet.methods.asymmirai import AsymMirai
from disasymnet.methods.base import Method
from disasymnet.methods.cvt import Cvt
from disasymnet.methods.disasymnet import DisAsymNet
from disasymnet.methods.ham import Ham
from disasymnet.methods.late_fusion import LateFusion
from disasymnet.methods.resnet18 import ResNet18
from disasymnet.recipe import Recipe

METHODS: dict[str, Callable[[Recipe], Method]] = {
    "disasymnet": DisAsymNet,
    "resnet18": ResNet18,
    "ham": Ham,
    "late-fusion": LateFusion,
    "cvt": Cvt,
    "asym-attention": AsymAttention,
    "asymmirai": AsymMirai,
}


def build(recipe: Recipe) -> Method:
    """The recipe's method with fresh weights (seed the generator before)."""
    if recipe.method not in METHODS:
        raise RecipeError(f"no method is called {recipe.method!r}", hint="Methods: " + ", ".join(METHODS))
    return METHODS[recipe.method](recipe)
