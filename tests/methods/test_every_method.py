"""The suite that every method in the table must pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from disasymnet.data.batch import PairBatch, swap_sides
from disasymnet.methods import METHODS, build
from disasymnet.methods.base import Method, PairOutput
from disasymnet.recipe import Recipe

from .conftest import SMALL, make_batch


def _build(name: str, seed: int = 0) -> Method:
    torch.manual_seed(seed)
    return build(Recipe.load("recommended", [*SMALL, f"method={name}"]))


def _step(method: Method, batch: PairBatch, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    values: dict[str, float] = {}
    for losses in method.objectives(batch):
        total = torch.stack([weight * value for weight, value in losses.values()]).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        values |= {name: float(value.detach()) for name, (_, value) in losses.items()}
    return values


def _fields(out: PairOutput) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vars(out).items() if value is not None}


@pytest.fixture(params=METHODS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_shapes_and_ranges(name: str, batch: PairBatch) -> None:
    method = _build(name).eval()
    with torch.no_grad():
        out = method(batch.image, batch.breast)
    assert out.side_logit.shape == (8,)
    assert out.asymmetry_logit is None or out.asymmetry_logit.shape == (4,)
    for picture in (out.cam, out.normal, out.abnormal_part):
        assert picture is None or picture.shape == batch.image.shape
    assert out.cam.dtype == torch.float32
    assert out.cam.min() >= 0
    assert out.cam.max() <= 1
    assert all(bool(value.isfinite().all()) for value in _fields(out).values())


def test_exchanging_the_sides_exchanges_the_answers(name: str, batch: PairBatch) -> None:
    method = _build(name).eval()
    with torch.no_grad():
        out, swapped = (method(b.image, b.breast) for b in (batch, batch.swap()))
    for field, value in _fields(out).items():
        expected = value if field == "asymmetry_logit" else swap_sides(value)
        assert torch.equal(getattr(swapped, field), expected), field


def test_a_pair_does_not_feel_its_batch_mates_in_eval_mode(name: str, batch: PairBatch) -> None:
    method = _build(name).eval()
    alone = torch.stack([batch.image[1], batch.image[5]])
    with torch.no_grad():
        out = method(batch.image, batch.breast)
        one = method(alone, torch.stack([batch.breast[1], batch.breast[5]]))
    torch.testing.assert_close(one.side_logit, out.side_logit[[1, 5]], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one.cam, out.cam[[1, 5]], atol=1e-5, rtol=1e-5)


def test_every_weight_is_reached(name: str, batch: PairBatch) -> None:
    method = _build(name)
    optimizer = torch.optim.SGD(method.parameters(), lr=1e-3)
    _step(method, batch, optimizer)  # layers that start at zero let gradients through after their first step
    reached = {key: torch.zeros(()) for key, _ in method.named_parameters()}
    for losses in method.objectives(batch):
        optimizer.zero_grad()
        torch.stack([weight * value for weight, value in losses.values()]).sum().backward()
        for key, parameter in method.named_parameters():
            if parameter.grad is not None:
                reached[key] = torch.maximum(reached[key], parameter.grad.abs().max())
    unreached = [key for key, largest in reached.items() if largest == 0]
    assert unreached == []


def test_same_seed_same_weights(name: str, batch: PairBatch) -> None:
    states = []
    for _ in range(2):
        method = _build(name)
        optimizer = torch.optim.Adam(method.parameters(), lr=1e-3)
        for _ in range(2):
            _step(method, batch, optimizer)
        states.append(method.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_saved_weights_give_the_same_answers(name: str, batch: PairBatch) -> None:
    method, other = _build(name).eval(), _build(name, seed=1).eval()
    other.load_state_dict(method.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(method(batch.image, batch.breast).cam, other(batch.image, batch.breast).cam)


def test_unknown_labels_still_train(name: str, batch: PairBatch) -> None:
    unknown = replace(batch, labels=type(batch.labels).of_sides(torch.full((8,), float("nan"))))
    for losses in _build(name).objectives(unknown):
        assert all(bool(value.isfinite()) for _, value in losses.values())


def test_eight_pairs_are_learned_by_heart(name: str) -> None:
    method, batch = _build(name), make_batch(8)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-3)
    for _ in range(60):
        losses = _step(method, batch, optimizer)
    assert losses["diag"] < 0.2
    method.eval()
    with torch.no_grad():
        answers = method(batch.image, batch.breast).side_logit > 0
    assert torch.equal(answers, batch.labels.side > 0.5)
