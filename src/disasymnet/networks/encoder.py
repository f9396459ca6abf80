"""E1: f = psi_e(x), a ResNet-18 trunk shared by both sides.

Written out with torchvision's parameter names, so that public ImageNet files load. Stem, widths, blocks and strides are
settings; a smaller output stride comes from dropping strides, not from dilation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from disasymnet.settings import EncoderSettings

CLIP = 3.0  # standard deviations; beyond lie markers and saturated specks
AIR = -CLIP
IMAGENET_MEAN, IMAGENET_STD = 0.449, 0.226  # means over the three channels of the ImageNet statistics


@dataclass(frozen=True)
class GreyStatistics:
    """Mean and standard deviation of the grey inside the breast, each (N, 1, 1, 1)."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, image: Tensor, breast: Tensor) -> GreyStatistics:
        """Statistics of (N, 1, H, W) pictures inside their breast masks, in float32."""
        image, inside = image.detach().float(), breast.float()
        count = inside.sum((2, 3), keepdim=True).clamp_min(1)
        mean = (image * inside).sum((2, 3), keepdim=True) / count
        variance = ((image - mean).square() * inside).sum((2, 3), keepdim=True) / count
        return cls(mean, variance.sqrt().clamp_min(1e-3))


@dataclass(frozen=True)
class Features:
    """What the encoder sees at each resolution."""

    out: Tensor
    """(N, C, h, w), f of the paper."""
    skips: dict[int, Tensor]
    """Stride -> deepest features of that stride, without those of `out`'s stride."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, as in ResNet-18."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = (
            nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))
            if stride != 1 or width_in != width
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, width_in, h, w) -> (N, width, h / stride, w / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)) + shortcut, inplace=True)


class Encoder(nn.Module):
    """psi_e. Grey pictures (N, 1, H, W) in [0, 1] -> features at every stride."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.settings = settings
        kernel, stride = {"7x7-pool": (7, 2), "5x5": (5, 2), "3x3": (3, 1)}[settings.stem]
        width = settings.widths[0]
        self.conv1 = nn.Conv2d(1, width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _stage(width_in, width_out, blocks, stage_stride)
            for width_in, width_out, blocks, stage_stride in zip(
                (width, *settings.widths[:3]), settings.widths, settings.blocks, settings.strides, strict=True
            )
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def skip_widths(self) -> dict[int, int]:
        """Stride -> channels of `Features.skips`."""
        strides, widths = [2 if self.settings.stem != "3x3" else 1], [self.settings.widths[0]]
        here = strides[0] * (2 if self.settings.stem == "7x7-pool" else 1)
        for stage_stride, width in zip(self.settings.strides, self.settings.widths, strict=True):
            here *= stage_stride
            strides.append(here)
            widths.append(width)
        return {stride: width for stride, width in zip(strides, widths, strict=True) if stride < here}

    def normalise(self, image: Tensor, breast: Tensor, statistics: GreyStatistics | None = None) -> Tensor:
        """Grey as the trunk wants it.

        `z-score`: per picture inside the breast, clipped to 3, the air at -3; with another picture's mean and deviation
        where `statistics` holds them (a window's are those of its whole picture).
        """
        if self.settings.normalise == "imagenet":
            return (image - IMAGENET_MEAN) / IMAGENET_STD
        known = statistics if statistics is not None else GreyStatistics.of(image, breast)
        grey = ((image.float() - known.mean) / known.std).clamp(-CLIP, CLIP)
        return torch.where(breast, grey, AIR)

    def forward(
        self,
        image: Tensor,
        breast: Tensor,
        statistics: GreyStatistics | None = None,
        before_last: Callable[[Tensor], Tensor] | None = None,
    ) -> Features:
        """(N, 1, H, W) grey in [0, 1] and bool masks -> features, `out` at `settings.stride`.

        `before_last` may change the features of the third stage on their way into the last.
        """
        x = F.relu(self.bn1(self.conv1(self.normalise(image, breast, statistics))), inplace=True)
        stride = 1 if self.settings.stem == "3x3" else 2
        found = {stride: x}
        if self.settings.stem == "7x7-pool":
            x, stride = F.max_pool2d(x, 3, 2, 1), 4
        stages = (self.layer1, self.layer2, self.layer3, self.layer4)
        for stage, stage_stride in zip(stages, self.settings.strides, strict=True):
            if stage is self.layer4 and before_last is not None:
                x = before_last(x)
            x, stride = stage(x), stride * stage_stride
            found[stride] = x
        return Features(found.pop(stride), found)


def _stage(width_in: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(width_in, width, stride)
    return nn.Sequential(first, *(BasicBlock(width, width, 1) for _ in range(blocks - 1)))
