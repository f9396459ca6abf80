"""E7: x_n, x_ab = psi_g(f_out), a U-Net-like decoder whose weights both sides share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from disasymnet.networks.encoder import Features
from disasymnet.settings import DecoderSettings

DEEP = 8  # skips `deep`: only features of this stride and coarser


@dataclass(frozen=True)
class Pictures:
    """Each side split into a normal and an abnormal picture, (2B, 1, H, W)."""

    normal: Tensor
    abnormal_part: Tensor


class Decoder(nn.Module):
    """Doubles the features until they are pictures.

    Nearest doubling and convolutions, no transposed ones: their checkerboard looks like calcifications.
    """

    def __init__(self, width: int, stride: int, skip_widths: dict[int, int], settings: DecoderSettings) -> None:
        super().__init__()
        self.settings = settings
        self.strides = [stride >> step for step in range(1, len(settings.widths) + 1)]
        self.stages = nn.ModuleList()
        for level, width_out in zip(self.strides, settings.widths, strict=True):
            joined = skip_widths.get(level, 0) if self._joins(level) else 0
            joined += level == 1 and settings.picture_skip
            self.stages.append(_Stage(width + joined, width_out))
            width = width_out
        self.last = nn.Conv2d(width, 2, 1)
        if settings.output == "residual":
            for parameter in self.last.parameters():
                nn.init.zeros_(parameter)  # the first x_n is x exactly

    def _joins(self, stride: int) -> bool:
        return self.settings.skips in ("unet", "gated") or (self.settings.skips == "deep" and stride >= DEEP)

    def forward(self, f_out: Tensor, features: Features, image: Tensor, gate: Tensor) -> Pictures:
        """Features (2B, C, h, w), the pictures x and M (2B, 1, H, W; 0 outside the breast) -> x_n and x_ab."""
        x = f_out
        for stride, stage in zip(self.strides, self.stages, strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            skip = features.skips.get(stride) if self._joins(stride) else None
            if skip is not None:
                if self.settings.skips == "gated":
                    skip = skip * (1 - F.adaptive_max_pool2d(gate, skip.shape[2:])).to(skip.dtype)
                x = torch.cat([x, skip], dim=1)
            if stride == 1 and self.settings.picture_skip:
                x = torch.cat([x, image.to(x.dtype)], dim=1)
            x = stage(x)
        first, second = self.last(x).float().chunk(2, dim=1)
        if self.settings.output == "direct":
            drawn, abnormal_part = first.sigmoid(), second.sigmoid()
        else:
            drawn, abnormal_part = image - first, second
        normal = image + gate * (drawn - image) if self.settings.residual_gate else drawn
        return Pictures(normal, abnormal_part)


class _Stage(nn.Sequential):
    def __init__(self, width_in: int, width: int) -> None:
        layers: list[nn.Module] = []
        for channels in (width_in, width):
            layers += [nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        super().__init__(*layers)
