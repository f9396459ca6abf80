from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.training.toy import Toy, ToyBatches, run_toy, toy_recipe

from disasymnet import checkpoint
from disasymnet.errors import TrainingError
from disasymnet.training.state import read_position
from disasymnet.training.steps import step_rate
from disasymnet.training.task import TrainOptions


def log_of(run: Path, event: str) -> list[dict]:
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in events if line["event"] == event]


def weights_of(run: Path) -> bytes:
    return (run / "last" / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("epochs", "decay_at", "wanted"),
    [
        (50, [0.4, 0.8], {0: 1e-4, 19: 1e-4, 20: 1e-5, 39: 1e-5, 40: 1e-6, 49: 1e-6}),
        (20, [0.5], {0: 1e-4, 9: 1e-4, 10: 1e-5, 19: 1e-5}),
    ],
)
def test_rate_drops_after_the_papers_epochs(epochs: int, decay_at: list[float], wanted: dict[int, float]) -> None:
    settings = toy_recipe(epochs=epochs, rate=1e-4, decay_at=decay_at).train
    updates = 13
    rate = step_rate(settings, epochs * updates)
    for epoch, value in wanted.items():
        assert rate(epoch * updates) == pytest.approx(value, rel=1e-12)
        assert rate(epoch * updates + updates - 1) == pytest.approx(value, rel=1e-12)


def test_a_run_leaves_log_and_checkpoints(tmp_path: Path) -> None:
    lines: list[str] = []
    options = TrainOptions(log_every=3, say_every_s=0)
    method, done = run_toy(tmp_path, toy_recipe(), options, lines=lines, method=Toy(sometimes=True))
    assert done
    epochs = log_of(tmp_path, "epoch")
    assert [line["epoch"] for line in epochs] == [1, 2, 3, 4]
    assert [line["rate"] for line in epochs] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3])
    assert set(epochs[0]["losses"]) == {"diag", "rec", "refine", "syn"}
    assert epochs[0]["missing"] == {"diag": 0, "rec": 0, "syn": 2, "refine": 0}
    assert [line["step"] for line in log_of(tmp_path, "step")] == [3, 6, 9, 12, 15, 18]
    assert any("left" in line and "refine" in line for line in lines)
    stored = checkpoint.read(tmp_path)
    assert stored.folder.name == "last"
    assert (stored.card.epochs, stored.card.steps) == (4, 20)
    for name, tensor in method.state_dict().items():
        assert torch.equal(stored.weights[name], tensor)


def test_missing_losses_are_no_zeros_in_the_mean(tmp_path: Path) -> None:
    run_toy(tmp_path, toy_recipe(epochs=1), TrainOptions(log_every=1), method=Toy(sometimes=True))
    each = [line["losses"]["syn"] for line in log_of(tmp_path, "step") if "syn" in line["losses"]]
    assert len(each) == 3
    assert log_of(tmp_path, "epoch")[0]["losses"]["syn"] == pytest.approx(sum(each) / 3)


def test_non_finite_loss_stops_with_name_step_and_pairs(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"'diag' is nan at step 7") as caught:
        run_toy(tmp_path, toy_recipe(), method=Toy(bad_step=7))
    assert caught.value.where == "pairs e1b2p0, e1b2p1, e1b2p2, e1b2p3"
    assert checkpoint.read(tmp_path).card.epochs == 1


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("optimisers", [1, 2])
def test_resume_after_a_stop_anywhere_gives_the_same_bytes(tmp_path: Path, accumulate: int, optimisers: int) -> None:
    recipe = toy_recipe(accumulate=accumulate, optimisers=optimisers, epochs=3)
    run_toy(tmp_path / "whole", recipe, scores=[0.5] * 3)
    stops = 0
    done = False
    while not done:
        _, done = run_toy(tmp_path / "parts", recipe, TrainOptions(stop_after=2, resume=True), scores=[0.5] * 3)
        stops += 1
    assert stops > 3
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")
    without_time = [
        [{k: v for k, v in line.items() if k != "time_s"} for line in log_of(tmp_path / name, "epoch")]
        for name in ("whole", "parts")
    ]
    assert without_time[0] == without_time[1]


def test_resume_asks_the_stream_for_the_rest_only(tmp_path: Path) -> None:
    recipe, batches = toy_recipe(epochs=2), ToyBatches()
    run_toy(tmp_path, recipe, TrainOptions(stop_after=3), batches=batches)
    run_toy(tmp_path, recipe, TrainOptions(resume=True), batches=batches)
    assert batches.starts == [(0, 0), (0, 3), (1, 0)]


CHILD = """
import sys
from pathlib import Path
from disasymnet.training.task import TrainOptions
from tests.training.toy import Toy, run_toy, toy_recipe
import torch
torch.set_num_threads(1)
kill = int(sys.argv[2])
run_toy(Path(sys.argv[1]), toy_recipe(), TrainOptions(resume=True, save_every_s=0.0),
        method=Toy(kill_at=kill if kill >= 0 else None), scores=[0.5, 0.6, 0.7, 0.6])
"""


def child(out: Path, kill: int) -> int:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", CHILD, str(out), str(kill)]
    paths = f"{root / 'src'}:{root}"
    return subprocess.run(command, check=False, env={"PYTHONPATH": paths, "PATH": "/usr/bin:/bin"}).returncode


def test_resume_after_sigkill_in_mid_step_gives_the_same_bytes(tmp_path: Path) -> None:
    run_toy(tmp_path / "whole", toy_recipe(), scores=[0.5, 0.6, 0.7, 0.6])
    kill = random.Random(3).randrange(6, 18)
    assert child(tmp_path / "killed", kill) == -signal.SIGKILL
    position = read_position(tmp_path / "killed" / "state")
    assert position is not None
    assert position.step == kill
    assert child(tmp_path / "killed", -1) == 0
    for part in ("last", "best"):
        for name in ("weights.safetensors", "card.json"):
            assert (tmp_path / "killed" / part / name).read_bytes() == (tmp_path / "whole" / part / name).read_bytes()


def test_best_is_the_first_highest_behind_the_last_drop(tmp_path: Path) -> None:
    run_toy(tmp_path, toy_recipe(epochs=6), scores=[0.99, 0.98, 0.97, 0.6, 0.8, 0.8])
    assert checkpoint.read(tmp_path).card.epochs == 5
    assert checkpoint.read(tmp_path / "last").card.epochs == 6


def test_without_a_drop_every_epoch_may_be_best(tmp_path: Path) -> None:
    run_toy(tmp_path, toy_recipe(epochs=3, decay_at=[]), scores=[0.9, 0.8, None])
    assert checkpoint.read(tmp_path).card.epochs == 1


def test_accumulation_is_one_update_of_the_mean(tmp_path: Path) -> None:
    class Plain(Toy):
        """Without BatchNorm and dropout, so that two halves are one whole."""

        def __init__(self) -> None:
            super().__init__()
            self.trunk = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Tanh(), torch.nn.Flatten())

    class Whole(ToyBatches):
        def batches(self, epoch: int, start: int = 0):  # type: ignore[no-untyped-def]
            parts = list(ToyBatches(2 * self.count).batches(epoch, 2 * start))
            for one, two in zip(parts[::2], parts[1::2], strict=True):
                yield type(one)(torch.cat([one.image, two.image]), torch.cat([one.label, two.label]), one.ids + two.ids)

    run_toy(tmp_path / "a", toy_recipe(accumulate=2, epochs=1), method=Plain(), batches=ToyBatches(2))
    run_toy(tmp_path / "b", toy_recipe(epochs=1), method=Plain(), batches=Whole(1))
    # Adam divides by the gradient's size and so blows rounding up: compare its means of the gradients.
    halves, whole = (checkpoint.read_tensors(tmp_path / run / "state" / "state.safetensors") for run in ("a", "b"))
    moments = [name for name in whole if "/exp_avg/" in name]
    assert len(moments) == 6
    for name in moments:
        torch.testing.assert_close(halves[name], whole[name], rtol=1e-5, atol=1e-7)


def test_second_optimiser_leaves_the_drawer_out_of_refine(tmp_path: Path) -> None:
    run_toy(tmp_path, toy_recipe(optimisers=2, epochs=1))
    state = checkpoint.read_tensors(tmp_path / "state" / "state.safetensors")
    assert "optimiser0/exp_avg/drawer.weight" in state
    assert "optimiser1/exp_avg/head.weight" in state
    assert "optimiser1/exp_avg/drawer.weight" not in state


def test_frozen_parts_stay_with_their_statistics(tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in Toy().state_dict().items()}
    method, _ = run_toy(tmp_path, toy_recipe(freeze=["trunk"], epochs=1))
    for name, tensor in method.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.startswith("trunk"), name


def test_kept_statistics_stay_while_the_weights_learn(tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in Toy().state_dict().items()}
    method, _ = run_toy(tmp_path, toy_recipe(keep_statistics=["trunk"], epochs=1))
    kept = {"trunk.1.running_mean", "trunk.1.running_var", "trunk.1.num_batches_tracked"}
    for name, tensor in method.state_dict().items():
        assert torch.equal(tensor, before[name]) == (name in kept), name


@pytest.mark.parametrize("setting", ["freeze", "keep_statistics"])
def test_unknown_part_is_named(tmp_path: Path, setting: str) -> None:
    with pytest.raises(TrainingError, match=f"{setting}: no part is called 'trunc'"):
        run_toy(tmp_path, toy_recipe(**{setting: ["trunc"]}))


def test_clip_bounds_the_first_update(tmp_path: Path) -> None:
    class Loud(Toy):
        def objectives(self, batch):  # type: ignore[no-untyped-def]
            yield {"loud": (1e6, self.head(self.trunk(batch.image)).square().mean())}

        grads: float = 0.0

    seen: list[float] = []
    method = Loud()
    method.head.weight.register_post_accumulate_grad_hook(lambda p: seen.append(float(p.grad.norm())))
    run_toy(tmp_path, toy_recipe(epochs=1, clip=2.0), method=method, batches=ToyBatches(1))
    state = checkpoint.read_tensors(tmp_path / "state" / "state.safetensors")
    moments = [tensor for name, tensor in state.items() if "/exp_avg/" in name]
    norm = torch.stack([tensor.norm() for tensor in moments]).norm() / 0.1  # Adam keeps a tenth of the first gradient
    assert seen[0] > 2.0
    assert float(norm) == pytest.approx(2.0, rel=1e-3)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk, mount = tmp_path / "disk", shutil.which("mount")
    disk.mkdir()
    command = [str(mount), "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if mount is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small tmpfs cannot be mounted here (needs root)")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("room", [0, 8, 24])
def test_full_disk_leaves_the_last_checkpoint(small_disk: Path, tmp_path: Path, room: int) -> None:
    run, recipe = small_disk / "run", toy_recipe()
    run_toy(run, recipe, TrainOptions(stop_after=7))
    before = weights_of(run)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * (shutil.disk_usage(small_disk).free - room * 1024))
    with pytest.raises(TrainingError, match="disk is full"):
        run_toy(run, recipe, TrainOptions(resume=True, save_every_s=0.0, log_every=1))
    assert checkpoint.read(run).card.epochs == 1
    assert weights_of(run) == before
    ballast.unlink()
    run_toy(run, recipe, TrainOptions(resume=True))
    run_toy(tmp_path / "whole", recipe)
    assert weights_of(run) == weights_of(tmp_path / "whole")
