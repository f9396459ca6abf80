"""E2 to E4: the asymmetric transformer psi_asyt.

Shapes: 2B pictures (right sides first), L = h w tokens, C channels. Weights are shared by the sides, so exchanging the
sides exchanges the result exactly.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from disasymnet.data.batch import swap_sides
from disasymnet.settings import TransformerSettings


class AsymmetricBlock(nn.Module):
    """One layer: self- and cross-attention side by side on the same queries, keys and values, then fused.

    Both sides are updated at once from the old features. The paper writes neither norm nor residual; without them
    twelve layers pass no gradient, so both are on unless a setting takes them away.
    """

    def __init__(self, width: int, settings: TransformerSettings) -> None:
        super().__init__()
        self.settings = settings
        hidden = settings.hidden or width
        parts = 1 + settings.self_attention + settings.cross_attention
        self.norm_in = nn.LayerNorm(width) if settings.norm else nn.Identity()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.self_out = nn.Linear(width, width) if settings.self_attention else None
        self.cross_out = nn.Linear(width, width) if settings.cross_attention else None
        self.norm_fused = nn.LayerNorm(parts * width) if settings.norm else nn.Identity()
        self.fuse_in = nn.Linear(parts * width, hidden)
        self.fuse_out = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(settings.dropout)
        if settings.zero_init:
            nn.init.zeros_(self.fuse_out.weight)
            nn.init.zeros_(self.fuse_out.bias)

    def forward(self, f: Tensor, positions: Tensor | None) -> Tensor:
        """(2B, L, C) tokens -> (2B, L, C)."""
        n = self.norm_in(f)
        placed = n if positions is None else n + positions
        q, k, v = self._heads(self.query(placed)), self._heads(self.key(placed)), self._heads(self.value(n))
        parts = [n]
        if self.self_out is not None:
            parts.append(self.self_out(_merge(F.scaled_dot_product_attention(q, k, v))))  # E2
        if self.cross_out is not None:
            across = F.scaled_dot_product_attention(q, swap_sides(k), swap_sides(v))  # E3
            parts.append(self.cross_out(_merge(across)))
        fused = self.norm_fused(torch.cat(parts, dim=-1))
        change: Tensor = self.fuse_out(self.dropout(F.gelu(self.fuse_in(fused))))  # E4
        return f + change if self.settings.residual else change

    def _heads(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        heads = self.settings.heads
        return x.view(batch, length, heads, width // heads).transpose(1, 2)  # (2B, heads, L, C / heads)


def _merge(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)  # (2B, L, C)


class AsymmetricTransformer(nn.Module):
    """psi_asyt: N layers on the features of both sides. No layers: the features as they are."""

    def __init__(self, width: int, settings: TransformerSettings) -> None:
        super().__init__()
        self.settings = settings
        self.layers = nn.ModuleList(AsymmetricBlock(width, settings) for _ in range(settings.layers))

    def forward(self, features: Tensor) -> Tensor:
        """(2B, C, h, w), right sides first -> the same shape, f_out of the paper."""
        if not len(self.layers):
            return features
        pooled = F.max_pool2d(features, self.settings.pool, ceil_mode=True) if self.settings.pool > 1 else features
        height, width = pooled.shape[2:]
        tokens = before = pooled.flatten(2).transpose(1, 2)
        positions = None
        if self.settings.positions == "sine":
            positions = sine_positions(height, width, tokens.shape[-1]).to(tokens)
        for layer in self.layers:
            tokens = layer(tokens, positions)
        if self.settings.pool == 1:
            return _as_map(tokens, height, width)
        # Coarse attention must not coarsen the features: only what it changed is enlarged and added.
        change = _as_map(tokens - before, height, width)
        return features + F.interpolate(change, size=features.shape[2:], mode="bilinear", align_corners=False)


def _as_map(tokens: Tensor, height: int, width: int) -> Tensor:
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, height, width)  # (2B, C, h, w)


def sine_positions(height: int, width: int, channels: int) -> Tensor:
    """(1, height * width, channels) fixed 2-D code: half of the channels for the row, half for the column."""
    quarter = channels // 4
    rates = torch.exp(torch.arange(quarter) * (-math.log(10_000.0) / max(quarter - 1, 1)))

    def code(length: int) -> Tensor:
        angles = torch.arange(length)[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)  # (length, channels / 2)

    rows = code(height)[:, None, :].expand(height, width, -1)
    columns = code(width)[None, :, :].expand(height, width, -1)
    return torch.cat([rows, columns], dim=-1).reshape(1, height * width, channels)
