"""What a training starts from: random weights, a trunk's weights, or another run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
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


def refuse_seen(init: Path, cache: Cache, data: DataSettings) -> None:
    """TrainingError where the start has learned from pairs of this cache that this training tests."""
    stored = checkpoint.read(init)
    if stored.card.cache != cache.digest:
        return
    before = stored.recipe.data
    folds = 0 if stored.recipe.method == DETECTOR else before.folds
    taught = cache.redrawn(before.shares).split("train", folds, before.fold, inner=before.inner, share=before.share)
    if seen := set(taught) & set(cache.split("test", data.folds, data.fold)):
        raise TrainingError(
            f"the start has learned from {len(seen)} of the pairs that this training tests",
            where=stored.folder,
            hint="Start each fold from a run of the same folds, or from a run on other women.",
        )


def start_from(method: nn.Module, folder: Path, say: Say) -> str:
    """Take every tensor of a run or checkpoint whose name and shape fit, say what was taken and what not.

    A detector's head becomes the start of the side head. Raises CheckpointError if nothing of the encoder fits.
    """
    stored = checkpoint.read(folder)
    own = method.state_dict()
    fitting = {n: t for n, t in stored.weights.items() if n in own and own[n].shape == t.shape}
    head = _detector_head(method, stored) if stored.recipe.method == DETECTOR else None
    begin: Callable[[Tensor, Tensor], bool] | None = getattr(method, "start_from_detector", None)
    if not any(name.startswith("encoder.") and tensor.dim() == 4 for name, tensor in fitting.items()):
        raise CheckpointError(
            "no convolution of its encoder fits this one",
            where=stored.folder,
            hint="The encoder's widths, blocks and stem must be those of the recipe that made it.",
        )
    method.load_state_dict(own | fitting)
    taken = len(fitting)
    if head is not None and (begin is None or not begin(*head)):
        head = None
    taken += len(head or ())
    line = f"started from {stored.card.method} of {stored.card.dataset} (weights {stored.card.weights[:12]})"
    say(f"{line}: {taken} of its {len(stored.weights)} tensors taken{', head included' if head else ''}")
    for what, names in (
        ("of another shape here", [n for n in stored.weights if n in own and n not in fitting]),
        ("without a place here", [n for n in stored.weights if n not in own and not (head and n.startswith("head."))]),
        ("left as they were", [n for n in own if n not in fitting and not _counter(n)]),
    ):
        if names:
            say(f"  {what}: {_parts(names)}")
    return line


def _detector_head(method: nn.Module, stored: checkpoint.Stored) -> tuple[Tensor, Tensor] | None:
    weight, bias = stored.weights.get("head.weight"), stored.weights.get("head.bias")
    if weight is None or bias is None:
        return None
    widths = stored.recipe.model.encoder.widths, _encoder(method).state_dict()["layer4.0.conv1.weight"].shape[0]
    return (weight, bias) if torch.is_tensor(weight) and widths[0][-1] == widths[1] else None


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
