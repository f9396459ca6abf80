from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from disasymnet import weights
from disasymnet.errors import CheckpointError
from disasymnet.networks.encoder import Encoder
from disasymnet.settings import EncoderSettings


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISASYMNET_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def torchvision_like() -> dict[str, torch.Tensor]:
    """Random tensors under the names and shapes of torchvision's file."""
    random = torch.Generator().manual_seed(0)
    shapes = weights.resnet18_shapes() | {"conv1.weight": (64, 3, 7, 7), "fc.weight": (1000, 512), "fc.bias": (1000,)}
    table = {name: torch.rand(shape, generator=random) for name, shape in shapes.items()}
    return table | {"bn1.num_batches_tracked": torch.tensor(5)}


def test_names_and_shapes_are_the_encoders() -> None:
    encoder = Encoder(EncoderSettings())
    own = {name: tuple(t.shape) for name, t in encoder.state_dict().items() if not name.endswith("_tracked")}
    assert own == weights.resnet18_shapes()
    assert sum(p.numel() for p in encoder.parameters()) == 11_176_512 - 2 * 64 * 49  # torchvision's, less two colours


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_import_then_load(tmp_path: Path, torchvision_like: dict[str, torch.Tensor], suffix: str) -> None:
    file = tmp_path / f"resnet18{suffix}"
    if suffix == ".pth":
        torch.save(torchvision_like, file)
    else:
        weights.save_file(torchvision_like, file)
    assert "imagenet" in weights.import_weights(file, "imagenet")
    assert weights.installed() == {"imagenet": file.name}
    encoder = Encoder(EncoderSettings())
    assert "imagenet" in weights.load_trunk(encoder, "imagenet")
    colour = torchvision_like["conv1.weight"]
    grey = torch.rand(1, 1, 20, 20)
    wanted = nn.functional.conv2d(grey.expand(1, 3, 20, 20), colour)
    torch.testing.assert_close(nn.functional.conv2d(grey, encoder.conv1.weight), wanted, rtol=1e-5, atol=1e-4)
    assert torch.equal(encoder.layer4[1].bn2.running_var, torchvision_like["layer4.1.bn2.running_var"])


def test_file_by_path(tmp_path: Path, torchvision_like: dict[str, torch.Tensor]) -> None:
    file = tmp_path / "mine.pth"
    torch.save(torchvision_like, file)
    encoder = Encoder(EncoderSettings())
    assert "mine.pth" in weights.load_trunk(encoder, str(file))
    assert torch.equal(encoder.layer1[0].conv1.weight, torchvision_like["layer1.0.conv1.weight"])


def test_missing_and_ill_shaped_tensors_are_named(tmp_path: Path, torchvision_like: dict[str, torch.Tensor]) -> None:
    bad = dict(torchvision_like)
    del bad["layer2.0.bn1.weight"]
    bad["layer1.0.conv1.weight"] = torch.zeros(64, 64, 1, 1)
    bad["extra"] = torch.zeros(1)
    file = tmp_path / "bad.pth"
    torch.save(bad, file)
    with pytest.raises(CheckpointError, match=r"layer2.0.bn1.weight is missing, extra is unexpected, layer1.0.conv1"):
        weights.import_weights(file, "bad")
    assert weights.installed() == {}


def test_narrow_encoder_refuses_wide_weights(tmp_path: Path, torchvision_like: dict[str, torch.Tensor]) -> None:
    file = tmp_path / "wide.pth"
    torch.save(torchvision_like, file)
    narrow = Encoder(EncoderSettings(widths=(16, 32, 64, 128)))
    with pytest.raises(CheckpointError, match=r"wanted \(16, 1, 7, 7\)"):
        weights.load_trunk(narrow, str(file))


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("exit 1",)


@pytest.mark.parametrize("content", ["pickle", "text", "empty"])
def test_other_files_are_refused_unexecuted(tmp_path: Path, content: str) -> None:
    file = tmp_path / "file.pth"
    if content == "pickle":
        torch.save({"conv1.weight": Evil()}, file)
    else:
        file.write_text("hello" if content == "text" else "")
    with pytest.raises(CheckpointError, match="not a plain file of tensors"):
        weights.import_weights(file, "evil")


def test_absent_weights_say_how_to_get_them() -> None:
    with pytest.raises(CheckpointError, match="weights fetch imagenet"):
        weights.load_trunk(Encoder(EncoderSettings()), "imagenet")


def test_damaged_install_is_found(tmp_path: Path, torchvision_like: dict[str, torch.Tensor]) -> None:
    file = tmp_path / "r.pth"
    torch.save(torchvision_like, file)
    weights.import_weights(file, "mine")
    path = weights.home() / "mine.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        weights.load_trunk(Encoder(EncoderSettings()), "mine")


def test_fetch_checks_the_digest(
    tmp_path: Path, torchvision_like: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "resnet18.pth"
    torch.save(torchvision_like, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setitem(weights.KNOWN, "imagenet", weights.Known(file.as_uri(), digest[:8], ""))
    weights.fetch("imagenet")
    card = json.loads((weights.home() / "imagenet.json").read_text())
    assert (card["origin"], card["origin_sha256"]) == (file.as_uri(), digest)
    monkeypatch.setitem(weights.KNOWN, "imagenet", weights.Known(file.as_uri(), "00000000", ""))
    with pytest.raises(CheckpointError, match="begins with"):
        weights.fetch("imagenet")


def test_fetch_offline_names_the_file_to_bring(monkeypatch: pytest.MonkeyPatch) -> None:
    known = weights.Known("http://127.0.0.1:9/models/resnet18-f37072fd.pth", "f37072fd", "")
    monkeypatch.setitem(weights.KNOWN, "imagenet", known)
    with pytest.raises(CheckpointError, match=r"weights import resnet18-f37072fd.pth --name imagenet"):
        weights.fetch("imagenet")
    assert weights.installed() == {}


@pytest.mark.parametrize("name", ["../evil", "", "none", "a/b"])
def test_names_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="no name"):
        weights.import_weights(tmp_path / "x.pth", name)
