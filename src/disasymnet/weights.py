"""Trunk weights by name, kept in the user's folder: ImageNet ResNet-18, or a trunk of one's own.

Nothing is fetched unless asked for; a file from elsewhere is imported once, checked, and kept as safetensors with its
digest and origin. Folder: $DISASYMNET_HOME/weights, else ~/.local/share/disasymnet/weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from disasymnet.errors import CheckpointError

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Known:
    """A public file: where it lies and how its SHA-256 begins."""

    url: str
    digest: str
    about: str


KNOWN = {
    "imagenet": Known(
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "f37072fd",  # the first digits of the SHA-256 stand in torchvision's file name
        "torchvision ResNet-18, ImageNet-1k, 44.7 MB (BSD-3-Clause code; the images are for research)",
    )
}


def home() -> Path:
    """The folder of installed weights."""
    base = os.environ.get("DISASYMNET_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share" / "disasymnet") / "weights"


def installed() -> dict[str, str]:
    """Name -> origin of each set of weights at hand."""
    found = {}
    for path in sorted(home().glob("*.json")):
        try:
            found[path.stem] = str(json.loads(path.read_text(encoding="utf-8"))["origin"])
        except (OSError, ValueError, KeyError, TypeError):
            found[path.stem] = "unreadable: import it again"
    return found


def describe() -> str:
    """The table that `disasymnet weights list` prints."""
    here = installed()
    lines = [f"{name:12} installed   {origin}" for name, origin in here.items()]
    lines += [f"{name:12} can be fetched: {known.about}" for name, known in KNOWN.items() if name not in here]
    return "\n".join([*lines, f"folder: {home()}"])


def resnet18_shapes() -> Shapes:
    """Names and shapes of ResNet-18's trunk with a grey stem, as torchvision names them (number counters left out)."""
    shapes: Shapes = {"conv1.weight": (64, 1, 7, 7), **_norm("bn1", 64)}
    before = 64
    for stage, width in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            shapes[f"{name}.conv1.weight"] = (width, before, 3, 3)
            shapes[f"{name}.conv2.weight"] = (width, width, 3, 3)
            shapes |= _norm(f"{name}.bn1", width) | _norm(f"{name}.bn2", width)
            if before != width:
                shapes[f"{name}.downsample.0.weight"] = (width, before, 1, 1)
                shapes |= _norm(f"{name}.downsample.1", width)
            before = width
    return shapes


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}


def import_weights(file: Path, name: str, *, origin: str | None = None) -> str:
    """Check a torchvision .pth or a .safetensors file of ResNet-18 and keep it as `name`; a line that says so.

    Raises CheckpointError if the file is no plain table of tensors, or a tensor is missing, unexpected or of another
    shape. Colour stems become grey ones: the three kernels summed, which answers a repeated grey picture alike.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) or name == "none":
        raise CheckpointError(f"{name!r} is no name for weights", hint="Letters, digits, dot, dash and underscore.")
    trunk = _trunk(_read(file), resnet18_shapes(), where=file)
    home().mkdir(parents=True, exist_ok=True)
    path = home() / f"{name}.safetensors"
    part = path.with_suffix(".part")
    save_file({key: tensor.contiguous() for key, tensor in trunk.items()}, part)
    card = {"sha256": _sha256(part), "origin": origin or file.name, "origin_sha256": _sha256(file)}
    part.replace(path)
    part.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    part.replace(path.with_suffix(".json"))
    return f"{name}: {len(trunk)} tensors kept in {path}; use them by --set model.encoder.weights={name}"


def fetch(name: str) -> str:
    """Download known public weights, check the digest, keep them; a line that says so.

    Raises CheckpointError that names the file to bring where there is no network, or the file is another one.
    """
    if name not in KNOWN:
        raise CheckpointError(f"no public weights are called {name!r}", hint="Known: " + ", ".join(KNOWN))
    known = KNOWN[name]
    file = known.url.rsplit("/", 1)[-1]
    with tempfile.TemporaryDirectory(prefix="disasymnet-") as folder:
        part = Path(folder) / file
        try:
            with urllib.request.urlopen(known.url, timeout=30) as answer, part.open("wb") as out:
                shutil.copyfileobj(answer, out)
        except (urllib.error.URLError, OSError) as error:
            raise CheckpointError(
                f"{known.url} cannot be reached ({getattr(error, 'reason', error)})",
                hint=f"Bring {file} from elsewhere, then: disasymnet weights import {file} --name {name}",
            ) from None
        digest = _sha256(part)
        if not digest.startswith(known.digest):
            raise CheckpointError(
                f"the download is not {file}: its SHA-256 begins with {digest[:8]}, not {known.digest}",
                where=known.url,
                hint="A proxy may have answered in its place; bring the file by hand and import it.",
            )
        return import_weights(part, name, origin=known.url)


def load_trunk(encoder: nn.Module, source: str) -> str:
    """Put installed weights, or those of a file, into an encoder; a line that says what was loaded.

    Raises CheckpointError where they are missing, damaged or do not fit the encoder's settings.
    """
    shapes = {name: tuple(t.shape) for name, t in encoder.state_dict().items() if not name.endswith("_tracked")}
    path = Path(source)
    if path.suffix in (".pth", ".pt", ".safetensors"):
        trunk, origin = _trunk(_read(path), shapes, where=path), path.name
    else:
        path = home() / f"{source}.safetensors"
        card = path.with_suffix(".json")
        if not path.is_file() or not card.is_file():
            way = f"disasymnet weights fetch {source}, or " if source in KNOWN else ""
            raise CheckpointError(
                f"no weights called {source!r} are installed",
                where=home(),
                hint=f"{way}disasymnet weights import FILE --name {source}, or --set model.encoder.weights=none.",
            )
        facts = json.loads(card.read_text(encoding="utf-8"))
        if _sha256(path) != facts["sha256"]:
            raise CheckpointError("the installed weights are damaged", where=path, hint="Import or fetch them again.")
        trunk, origin = _trunk(_read(path), shapes, where=path), facts["origin"]
    encoder.load_state_dict(encoder.state_dict() | trunk)
    return f"the encoder starts from {source} ({len(trunk)} tensors, {origin})"


def _read(file: Path) -> dict[str, Tensor]:
    """All tensors of a file. Nothing in it is executed: pickled code is refused, not worked around."""
    if not file.is_file():
        raise CheckpointError("no such file", where=file)
    try:
        values: object = (
            load_file(file)
            if file.suffix == ".safetensors"
            else torch.load(file, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"not a plain file of tensors: {reason[:200]}",
            where=file,
            hint="Wanted: torchvision's resnet18-f37072fd.pth (not the older 5c106cde) or a .safetensors file.",
        ) from None
    if not isinstance(values, Mapping) or not all(isinstance(value, Tensor) for value in values.values()):
        raise CheckpointError("not a table of tensors by name", where=file)
    return {str(key): value for key, value in values.items()}


def _trunk(values: dict[str, Tensor], shapes: Shapes, *, where: object) -> dict[str, Tensor]:
    """The trunk's tensors in float32 with a grey stem; the classifier `fc` and the counters are left out."""
    found = {
        name: value.float()
        for name, value in values.items()
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
    }
    stem = found.get("conv1.weight")
    if stem is not None and stem.dim() == 4 and stem.shape[1] == 3:
        found["conv1.weight"] = stem.sum(1, keepdim=True)
    wrong = [f"{name} is missing" for name in shapes if name not in found]
    wrong += [f"{name} is unexpected" for name in found if name not in shapes]
    wrong += [
        f"{name} is {tuple(found[name].shape)}, wanted {shape}"
        for name, shape in shapes.items()
        if name in found and tuple(found[name].shape) != shape
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise CheckpointError("the weights do not fit: " + ", ".join(wrong[:5]) + more, where=where)
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
