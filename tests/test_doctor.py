"""The self-test of `disasymnet doctor` finds a method that treats the sides unlike."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from disasymnet.doctor import examine
from disasymnet.networks import asymmetric_transformer
from disasymnet.networks.heads import Answers, Heads


def test_a_sound_installation_passes() -> None:
    lines, healthy = examine()
    assert healthy, lines
    assert lines[-1] == "ok    self-test: exchanging the sides exchanges the answers"


def test_attention_to_one_side_only_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def right_twice(stack: Tensor) -> Tensor:
        return stack.chunk(2)[0].repeat(2, *[1] * (stack.dim() - 1))

    monkeypatch.setattr(asymmetric_transformer, "swap_sides", right_twice)
    _fails()


@pytest.mark.parametrize("head", ["side", "asymmetry"])
def test_a_head_that_favours_a_side_is_found(monkeypatch: pytest.MonkeyPatch, head: str) -> None:
    """The map is the same: the logits alone tell it."""
    sound = Heads.forward

    def unsound(heads: Heads, f_out: Tensor, breast: Tensor) -> Answers:
        found = sound(heads, f_out, breast)
        assert found.side is not None
        assert found.asymmetry is not None
        if head == "side":
            return Answers(found.side + torch.tensor([0.01, 0.0]), found.asymmetry, found.evidence, found.bias)
        return Answers(found.side, found.asymmetry + 0.1 * found.side[0], found.evidence, found.bias)

    monkeypatch.setattr(Heads, "forward", unsound)
    _fails()


def _fails() -> None:
    lines, healthy = examine()
    assert not healthy
    assert lines[-1] == "MEND  self-test failed"
