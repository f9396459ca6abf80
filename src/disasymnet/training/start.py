"""What a training starts from: random weights, a trunk's weights, or another run."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from disasymnet import checkpoint
from disasymnet.data.cache import Cache
from disasymnet.errors import CheckpointError, TrainingError
from disasymnet.progress import Say
from disasymnet.settings import DataSettings, EncoderSettings
from disasymnet.weights import load_trunk

DETECTOR = "detector"
"""Method name of a pre-trained trunk with its 1x1 lesion head."""


def start(method: nn.Module, settings: EncoderSettings, init: Path | None, say: Say) -> str:
    """Give a fresh method its first weights and say which; a line for the card.

    Raises CheckpointError where weights are missing, damaged, or nothing of them fits.
    """
    if init is not None:
        return start_from(method, init, say)
    if settings.weights != "none":
        line = load_trunk(_encoder(method), settings.weights)
        say(line)
        return line
    say(
        "NO PRE-TRAINED WEIGHTS: the encoder starts from random ones. On real mammograms little is learned so;"
        " see `disasymnet weights list`, or pretrain and then --init RUN."
    )
    return "random weights"


def start_of_fold(init: Path, data: DataSettings) -> Path:
    """The start of this fold: the same fold of a run of folds, else the run itself."""
    fold = init / f"fold-{data.fold}"
    return fold if data.folds and fold.is_dir() else init


def weights_of_start(init: Path | None, data: DataSettings) -> str | None:
    """First digits of the weights that a run, or this fold of one, starts from. CheckpointError if there are none."""
    return None if init is None else _weights_of(start_of_fold(init, data))


@functools.cache
def _weights_of(run: Path) -> str:
    return checkpoint.read(run).card.weights[:12]


def boxes_behind(init: Path | None) -> tuple[str, ...]:
    """Data sets whose lesions' places the start has learned: a detector's own, and those behind its own start."""
    if init is None:
        return ()
    stored = checkpoint.read(init)
    own = (stored.card.dataset,) if stored.recipe.method == DETECTOR else ()
    return tuple(dict.fromkeys((*own, *stored.card.boxes)))


def refuse_seen(init: Path, cache: Cache, data: DataSettings, say: Say) -> None:
    """TrainingError where the start has learned from pairs of this cache that this training tests.

    `cache` has its own split: either training may have drawn another. Of another cache of the same kind nothing can be
    known; that is said.
    """
    stored = checkpoint.read(init)
    if stored.card.cache != cache.digest:
        if stored.card.dataset == cache.dataset:
            say(
                f"warning: the start has learned from another cache of {cache.dataset}. Whether women tested here were"
                " among its own cannot be checked: make sure of it."
            )
        return
    before = stored.recipe.data
    folds = 0 if stored.recipe.method == DETECTOR else before.folds
    taught = cache.redrawn(before.shares).split("train", folds, before.fold, inner=before.inner, share=before.share)
    if seen := set(taught) & set(cache.redrawn(data.shares).split("test", data.folds, data.fold)):
        raise TrainingError(
            f"the start has learned from {len(seen)} of the pairs that this training tests",
            where=stored.folder,
            hint="Start each fold from a run of the same folds, or from a run on other women.",
        )


def start_from(method: nn.Module, folder: Path, say: Say) -> str:
    """Take every tensor of a run or checkpoint whose name and shape fit, say what was taken and what not.

    A detector's head becomes the start of the side head; so does the side head of a run whose method looks at one
    side's features, where this one's looks at both. Raises CheckpointError if nothing of the encoder fits.
    """
    stored = checkpoint.read(folder)
    own = method.state_dict()
    fitting = {n: t for n, t in stored.weights.items() if n in own and own[n].shape == t.shape}
    head = _side_head(method, own, stored)
    begin: Callable[[Tensor, Tensor], bool] | None = getattr(method, "start_from_detector", None)
    if not any(name.startswith("encoder.") and tensor.dim() == 4 for name, tensor in fitting.items()):
        raise CheckpointError(
            "no convolution of its encoder fits this one",
            where=stored.folder,
            hint="The encoder's widths, blocks and stem must be those of the recipe that made it.",
        )
    method.load_state_dict(own | fitting)
    if head and (begin is None or not begin(*head.values())):
        head = {}
    begun = {"heads.side.weight", "heads.side.bias"} if head else set()
    taken = len(fitting.keys() | head.keys())
    line = f"started from {stored.card.method} of {stored.card.dataset} (weights {stored.card.weights[:12]})"
    say(f"{line}: {taken} of its {len(stored.weights)} tensors taken{', head included' if head else ''}")
    for what, names in (
        ("of another shape here", [n for n in stored.weights if n in own and n not in fitting and n not in head]),
        ("without a place here", [n for n in stored.weights if n not in own and n not in head]),
        ("left as they were", [n for n in own if n not in fitting and n not in begun and not _counter(n)]),
    ):
        if names:
            say(f"  {what}: {_parts(names)}")
    return line


def _side_head(method: nn.Module, own: dict[str, Tensor], stored: checkpoint.Stored) -> dict[str, Tensor]:
    """Weight (1, C, 1, 1) and bias (1,) for `start_from_detector`, by their stored names; empty where there are none.

    A detector's head, or a side head on one side's features where this one's is on both: joined heads would else start
    at random where the others start from what is known.
    """
    room = "head" if stored.recipe.method == DETECTOR else "heads.side"
    weight, bias = (stored.weights.get(f"{room}.{part}") for part in ("weight", "bias"))
    if weight is None or bias is None:
        return {}
    width = _encoder(method).state_dict()["layer4.0.conv1.weight"].shape[0]
    joined = own.get("heads.side.weight")
    if room != "head" and (joined is None or joined.shape != (1, 2 * width)):
        return {}
    fits = weight.shape[:2] == (1, width)
    return {f"{room}.weight": weight.view(1, width, 1, 1), f"{room}.bias": bias} if fits else {}


def _encoder(method: nn.Module) -> nn.Module:
    encoder = getattr(method, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise CheckpointError("this method has no encoder to give weights to")
    return encoder


def _counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _parts(names: list[str]) -> str:
    """`encoder (12), heads (4)`: names by their first word."""
    counts = Counter(name.split(".")[0] for name in names)
    return ", ".join(f"{part} ({count})" for part, count in counts.items())
