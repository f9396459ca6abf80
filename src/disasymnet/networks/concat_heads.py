"""Classifiers on both sides' features side by side: late fusion, and the rows of the paper without AsyC.

One head serves both sides, the own features first; the asymmetry head averages the two orders. So exchanging the sides
exchanges the side answers and leaves the asymmetry answer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from disasymnet.data.batch import swap_sides
from disasymnet.networks.heads import Answers, pool, pooled_cells, weigh
from disasymnet.settings import HeadSettings


class ConcatHeads(nn.Module):
    """Linear heads on [f_own, f_other].

    Such a head is a sum over the sides. It can say "one of them is abnormal" and cannot compare them: what the
    asymmetry head sees, averaged over the orders, is f_r + f_l.
    """

    def __init__(self, width: int, settings: HeadSettings) -> None:
        super().__init__()
        self.settings = settings
        self.side = nn.Linear(2 * width, 1)
        self.asymmetry = nn.Linear(2 * width, 1)
        nn.init.constant_(self.side.bias, settings.bias)
        nn.init.zeros_(self.asymmetry.bias)

    def forward(self, f: Tensor, breast: Tensor) -> Answers:
        """(2B, C, h, w) features and (2B, 1, H, W) bool masks, right sides first -> logits and evidence."""
        where = pooled_cells(f, breast, self.settings)
        own, other = (weigh(f, weight) for weight in self.side.weight.chunk(2, dim=1))
        first, second = (weigh(f, weight) for weight in self.asymmetry.weight.chunk(2, dim=1))
        side = self._pool(own, where) + swap_sides(self._pool(other, where)) + self.side.bias
        right, left = (self._pool(first, where) + swap_sides(self._pool(second, where))).chunk(2)
        return Answers(side, (right + left) / 2 + self.asymmetry.bias, own, self.side.bias[0])

    def _pool(self, cells: Tensor, where: Tensor) -> Tensor:
        return pool(cells, where, self.settings)[:, 0]


class ConcatMlpHeads(nn.Module):
    """Heads of three layers (2C -> 2048 -> 512 -> 1, ReLU) on [g_own, g_other], g the pooled features.

    They can compare the sides. Widths after Li et al. (2021).
    """

    def __init__(self, width: int, settings: HeadSettings) -> None:
        super().__init__()
        self.settings = settings
        self.side, self.asymmetry = (_mlp(2 * width) for _ in range(2))
        nn.init.constant_(self.side[-1].bias, settings.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.asymmetry[-1].bias)  # type: ignore[arg-type]

    def forward(self, f: Tensor, breast: Tensor) -> Answers:
        """(2B, C, h, w) features and (2B, 1, H, W) bool masks, right sides first -> logits and evidence."""
        g = pool(f, pooled_cells(f, breast, self.settings), self.settings)
        both = torch.cat([g, swap_sides(g)], dim=1)
        side = self.side(both)
        right, left = self.asymmetry(both)[:, 0].chunk(2)
        # At its own input an MLP with ReLU is a linear head, whose weights give the map.
        weight = slope(self.side, both)
        bias = side - (weight * both).sum(1, keepdim=True)
        own = weight[:, : g.shape[1], None, None].to(f.dtype)
        evidence = (f * own).sum(1, keepdim=True)
        return Answers(side[:, 0], (right + left) / 2, evidence, bias[:, :, None, None])


def _mlp(inputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 2048), nn.ReLU(), nn.Linear(2048, 512), nn.ReLU(), nn.Linear(512, 1))


def slope(mlp: nn.Sequential, x: Tensor) -> Tensor:
    """(N, inputs) -> (N, inputs): the gradient of an MLP's one output, written out so that it needs no autograd."""
    first, _, second, _, last = mlp
    hidden = first(x)
    deeper = second(hidden.relu())
    back = last.weight * (deeper > 0)
    back = (back @ second.weight) * (hidden > 0)
    gradient: Tensor = back @ first.weight
    return gradient
