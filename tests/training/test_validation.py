from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from disasymnet.data.batch import Labels, PairBatch
from disasymnet.methods.base import PairOutput
from disasymnet.networks.encoder import GreyStatistics
from disasymnet.training.device import Place
from disasymnet.training.task import Validation
from disasymnet.training.validation import PairValidation, batch_statistics

HERE = Place(torch.device("cpu"), 1)
# Right and left label of eight pairs, twice.
LABELS = [(0, 0), (1, 0), (0, 1), (0, 0), (1, 1), (0, 0), (1, 0), (0, 0)] * 2


@dataclass
class Pairs:
    labels: list[tuple[float, float]]
    size: int = 4

    def __len__(self) -> int:
        return len(self.labels) // self.size

    def batches(self, epoch: int, start: int = 0) -> Iterator[PairBatch]:
        for first in range(0, len(self.labels), self.size):
            part = self.labels[first : first + self.size]
            side = torch.tensor([*(r for r, _ in part), *(left for _, left in part)], dtype=torch.float32)
            random = torch.Generator().manual_seed(first)
            image = 0.2 + 0.2 * torch.rand(2 * self.size, 1, 16, 8, generator=random)
            breast = torch.ones_like(image, dtype=torch.bool)
            breast[..., 6:] = False
            image[:, :, 6:9, 2:5] += 0.3 * (side == 1)[:, None, None, None]
            ids = tuple(f"p{first + i}" for i in range(self.size))
            yield PairBatch(image * breast, breast, Labels.of_sides(side), ids)


class Eye(nn.Module):
    """Sees brightness, behind a BatchNorm; draws x_n and M as told."""

    def __init__(self, draw: Callable[[Tensor, Tensor], Tensor] | None = None, *, pairs: bool = True) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.draw, self.pairs = draw, pairs

    def forward(self, image: Tensor, breast: Tensor) -> PairOutput:
        side = 10 * self.norm(image).amax((1, 2, 3)) - 6
        right, left = side.chunk(2)
        cam = torch.zeros_like(image)
        cam[:, :, 6:9, 2:5] = torch.sigmoid(side)[:, None, None, None]
        normal = None if self.draw is None else self.draw(image, cam)
        return PairOutput(side, torch.maximum(right, left) if self.pairs else None, cam, normal, normal)


def look(method: nn.Module, labels: list[tuple[float, float]] = LABELS, *, chooses: bool = True) -> Validation:
    return PairValidation(Pairs(labels), chooses)(method, HERE, {})


def repair(image: Tensor, cam: Tensor) -> Tensor:
    return torch.where(cam >= 0.5, image - 0.3, image)


def test_a_good_method_has_full_marks_and_no_warning() -> None:
    seen = look(Eye(repair))
    assert seen.figures == {"asymmetry_auc": 1.0, "abnormality_auc": 1.0, "side_accuracy": 1.0}
    assert seen.score == 1.0
    assert seen.warnings == {}
    assert seen.guards["brightness"] == pytest.approx(1, abs=0.1)
    assert seen.guards["background"] == 0


class Fooled(Eye):
    """Calls what has sharp stripes normal."""

    def judge(self, image: Tensor, breast: Tensor, statistics: GreyStatistics) -> PairOutput:
        sharp = image.diff(dim=3).abs().amax((1, 2, 3)) > 0.5
        return PairOutput(12.0 * ~sharp - 6, None, torch.zeros_like(image))


def test_a_pattern_that_fools_the_judge_does_not_outlive_a_blur() -> None:
    stripes = (torch.arange(8) % 2).float().expand(16, 8)
    seen = look(
        Fooled(lambda image, cam: stripes.expand_as(image))
    )  # means of three: 1/3 and 2/3, no sharp stripe left
    assert seen.guards["fooled"] == pytest.approx(0.995055, abs=1e-5)  # sigmoid(6) - sigmoid(-6)
    assert "noise fooling" in seen.warnings
    assert "noise fooling" not in look(Fooled(repair)).warnings


def test_score_is_the_mean_of_what_there_is() -> None:
    assert look(Eye(), [(0, 0)] * 4).score is None
    seen = look(Eye(), [(1, 0), (0, 1)] * 2)  # every pair asymmetric: only the sides can be told apart
    assert seen.figures["asymmetry_auc"] is None
    assert seen.score == seen.figures["abnormality_auc"] == 1.0


def test_watched_training_pairs_choose_nothing() -> None:
    seen = look(Eye(repair), chooses=False)
    assert seen.score is None
    assert seen.figures == {}
    assert seen.guards["spread"] is not None


def test_unknown_labels_take_no_part() -> None:
    nan = float("nan")
    assert look(Eye(), [(1, nan), (0, 0), (0, 0), (nan, nan)]).figures["abnormality_auc"] == 1.0


def test_without_an_asymmetry_head_the_more_abnormal_side_answers() -> None:
    seen = look(Eye(pairs=False))
    assert seen.figures["asymmetry_auc"] == 1.0
    assert seen.guards["asymmetry_spread"] is None
    assert "spread" not in seen.guards or seen.guards["spread"] is None


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("collapse", lambda x, cam: torch.full_like(x, 0.3)),
        ("copy", lambda x, cam: x),
        ("black hole", lambda x, cam: torch.where(cam >= 0.5, 0.01, x)),
        ("global darkening", lambda x, cam: 0.8 * x),
        ("background", lambda x, cam: x + 0.05),
        ("universal pattern", lambda x, cam: x + 0.05 * (torch.arange(8) % 2)),
        ("refine drift", lambda x, cam: x + 0.3 * (cam < 0.5) * (torch.rand(x.shape) > 0.98)),
    ],
)
def test_ill_pictures_are_named(name: str, draw: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert name in look(Eye(draw)).warnings


def test_poisoned_running_statistics_are_named() -> None:
    class Pooled(Eye):
        """Saturates where the running statistics are wrong, as ReLUs do."""

        def forward(self, image: Tensor, breast: Tensor) -> PairOutput:
            side = self.norm(image).clamp(-3, 3).amax((1, 2, 3))
            return PairOutput(side, None, torch.zeros_like(image))

    method = Pooled()
    assert method.norm.running_mean is not None
    method.norm.running_mean.fill_(-9)
    seen = look(method)
    assert seen.guards["batch_norm_gap"] == pytest.approx(0.5)
    assert "spoilt running statistics" in seen.warnings


def test_batch_statistics_leave_no_trace() -> None:
    method = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5)).eval()
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    x = torch.rand(4, 1, 5, 5) * 9
    with torch.inference_mode(), batch_statistics(method):
        out = method(x)
    assert float(out.mean()) == pytest.approx(0, abs=1e-5)
    assert float((out == 0).float().mean()) < 0.1  # dropout stayed off
    for name, tensor in method.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not any(module.training for module in method.modules())
