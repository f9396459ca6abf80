"""Rules of DisAsymNet's training, each with what goes wrong without it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from disasymnet.data.batch import PairBatch
from disasymnet.methods.disasymnet import DisAsymNet
from disasymnet.networks.encoder import GreyStatistics
from disasymnet.recipe import Recipe

from .conftest import SMALL


def _method(*changes: str, preset: str = "recommended") -> DisAsymNet:
    torch.manual_seed(0)
    return DisAsymNet(Recipe.load(preset, [*SMALL, *changes]))


def _running(method: DisAsymNet) -> dict[str, torch.Tensor]:
    return {name: buffer.clone() for name, buffer in method.named_buffers()}


def _changed(before: dict[str, torch.Tensor], method: DisAsymNet) -> list[str]:
    return [name for name, buffer in method.named_buffers() if not torch.equal(before[name], buffer)]


def test_the_first_x_n_is_x_exactly(batch: PairBatch) -> None:
    out = _method()(batch.image, batch.breast)
    assert torch.equal(out.normal, batch.image)
    direct = _method("model.decoder.output=direct", "model.decoder.residual_gate=false")
    assert not torch.equal(direct(batch.image, batch.breast).normal, batch.image)


def test_outside_the_breast_nothing_changes(batch: PairBatch) -> None:
    method = _method()
    torch.nn.init.normal_(method.decoder.last.weight)  # type: ignore[union-attr]
    out = method(batch.image, batch.breast)
    outside = ~batch.breast
    assert torch.equal(out.normal[outside], batch.image[outside])
    assert not torch.equal(out.normal, batch.image)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_frozen_copy_is_frozen(batch: PairBatch, mode: str) -> None:
    """Gradient reaches the picture, no weight; running statistics stay, also when its BatchNorm is in train mode."""
    method = _method(f"model.adversary.frozen_batch_norm={mode}")
    before = _running(method)
    x_n = batch.image.clone().requires_grad_()
    judged = method.judge(x_n, batch.breast, GreyStatistics.of(batch.image, batch.breast))
    judged.side_logit.sum().backward()
    assert x_n.grad is not None
    assert x_n.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in method.parameters())
    assert _changed(before, method) == []
    assert all(module.training for module in method.modules())


def test_the_frozen_copy_gives_asycs_own_answer(batch: PairBatch) -> None:
    method = _method("model.transformer.dropout=0.1", "model.transformer.zero_init=false")
    statistics = GreyStatistics.of(batch.image, batch.breast)
    judged = method.judge(batch.image, batch.breast, statistics).side_logit
    assert method.transformer.layers[0].dropout.training  # only the copy never drops a unit
    assert torch.equal(judged, method.eval()(batch.image, batch.breast).side_logit)


@pytest.mark.parametrize(("grey", "same"), [("own", True), ("input", False)])
def test_with_its_own_grey_a_picture_is_judged_alike_at_any_exposure(batch: PairBatch, grey: str, same: bool) -> None:
    method = _method(f"model.adversary.grey={grey}")
    of_x = GreyStatistics.of(batch.image, batch.breast)
    judged = [method.judge(x_n, batch.breast, of_x).side_logit for x_n in (batch.image, 0.2 + 0.5 * batch.image)]
    assert torch.allclose(*judged, atol=1e-4) is same


@pytest.mark.parametrize(("mode", "touched"), [("frozen", False), ("eval", False), ("train", True)])
def test_refine_leaves_the_running_statistics_alone(batch: PairBatch, mode: str, touched: bool) -> None:
    method = _method(f"model.adversary.refine_batch_norm={mode}")
    objectives = method.objectives(batch)
    next(objectives)
    before = _running(method)
    losses = next(objectives)
    assert list(losses) == ["refine"]
    assert bool(_changed(before, method)) is touched
    losses["refine"][1].backward()
    assert method.encoder.conv1.weight.grad is not None
    assert all(parameter.grad is None for parameter in method.decoder.parameters())  # type: ignore[union-attr]


def test_the_terms_of_the_first_objective(batch: PairBatch) -> None:
    """The paper's lambda 1 to 4."""
    losses = next(_method(preset="paper").objectives(batch))
    assert {name: weight for name, (weight, _) in losses.items()} == {"diag": 1.0, "rec": 0.1, "disc": 1.0, "syn": 0.5}


def test_without_synthesised_pairs_the_term_is_missing_not_zero(batch: PairBatch) -> None:
    plain = PairBatch(batch.image, batch.breast, batch.labels, batch.ids)
    assert "syn" not in next(_method().objectives(plain))


def test_an_extra_forward_serves_only_l_syn(batch: PairBatch) -> None:
    plain = PairBatch(batch.image, batch.breast, batch.labels, batch.ids, extra=batch)
    method = _method()
    alone = next(_method().objectives(PairBatch(batch.image, batch.breast, batch.labels, batch.ids)))
    both = next(method.objectives(plain))
    assert torch.equal(alone["diag"][1], both["diag"][1])
    assert both["syn"][1] > 0


def test_l_syn_may_count_the_blended_lesions_once_more(batch: PairBatch) -> None:
    assert batch.real is not None
    assert batch.synthetic is not None
    alone, twice = (next(_method(f"model.losses.syn_lesion={weight}").objectives(batch))["syn"][1] for weight in (0, 3))
    chosen = batch.synthetic.repeat(2)[:, None, None, None]
    off = (batch.real - _method()(batch.image, batch.breast).normal).abs()  # the first x_n is x exactly
    lesion = chosen & ((batch.image - batch.real).abs() >= 1 / 255)
    assert twice.item() - alone.item() == pytest.approx(3 * off[lesion].mean().item(), rel=1e-4)


def test_asyc_alone_is_a_switch(batch: PairBatch) -> None:
    method = _method("model.decoder.on=false")
    assert [list(losses) for losses in method.objectives(batch)] == [["diag"]]
    assert method(batch.image, batch.breast).normal is None


def test_a_detectors_head_becomes_the_side_head() -> None:
    method = _method()
    weight = torch.randn(1, 16, 1, 1)
    method.start_from_detector(weight, torch.tensor([-2.0]))
    assert torch.equal(method.heads.side.weight, weight[:, :, 0, 0])
    assert method.heads.side.bias.item() == -2.0


@pytest.mark.data
def test_swap_symmetry_on_a_real_pair(real_data: Path) -> None:
    import io
    import zipfile

    import numpy as np
    from PIL import Image

    with zipfile.ZipFile(real_data / "mini-mias" / "mini-mias-webp.zip") as archive:
        names = sorted(archive.namelist())[:2]
        pictures = [Image.open(io.BytesIO(archive.read(name))).convert("L").resize((32, 64)) for name in names]
    image = torch.stack([torch.from_numpy(np.asarray(p, dtype=np.float32) / 255)[None] for p in pictures])
    breast = image > 0.1
    # Attention that starts at zero would be the identity, symmetric whatever it does.
    method = _method("model.transformer.zero_init=false").eval()
    with torch.no_grad():
        one, other = method(image, breast), method(image.flip(0), breast.flip(0))
    assert torch.equal(one.side_logit, other.side_logit.flip(0))
    assert torch.equal(one.asymmetry_logit, other.asymmetry_logit)
    assert torch.equal(one.cam, other.cam.flip(0))


def test_attention_learns_to_compare_without_labels(batch: PairBatch) -> None:
    method = _method("model.losses.contralateral=1.0", "model.losses.diag=0.0", "model.decoder.on=false").eval()
    torch.nn.init.normal_(method.heads.side.weight)  # type: ignore[arg-type]
    optimiser = torch.optim.Adam(method.transformer.parameters(), lr=3e-3)
    found = []
    for _ in range(80):
        losses = next(iter(method.objectives(batch)))
        optimiser.zero_grad()
        torch.stack([weight * value for weight, value in losses.values()]).sum().backward()
        optimiser.step()
        found.append(losses["contralateral"][1].item())
    assert found[-1] < 0.2 * found[0]
    for without in ("transformer.cross_attention=false", "transformer.layers=0", "heads.fusion=concat-linear"):
        alone = _method("model.losses.contralateral=1.0", f"model.{without}")
        assert "contralateral" not in next(iter(alone.objectives(batch)))
