"""An epoch's look at pairs that do not teach: the AUC that chooses the best checkpoint, and the signatures of failure.

Location labels take no part. Without validation pairs (cross-validation) some training pairs are watched for the
signatures alone, and no checkpoint is chosen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from disasymnet.data.batch import PairBatch
from disasymnet.methods.base import PairOutput
from disasymnet.metrics.classification import auc
from disasymnet.networks.encoder import GreyStatistics
from disasymnet.training import guards
from disasymnet.training.device import Place
from disasymnet.training.guards import Fraction, Numbers, Spread
from disasymnet.training.task import Batches, Validation

GUARDED = 8  # batches that the signatures are measured on: they need three more forwards
FEWEST = 20  # sides under which a gap between two AUCs is noise


@dataclass(frozen=True)
class PairValidation:
    """Judges a method on a stream of pairs; `chooses`: they are validation pairs, whose AUC may choose a checkpoint."""

    batches: Batches
    chooses: bool

    def __call__(self, method: nn.Module, place: Place, memory: dict[str, list[float]]) -> Validation:
        """Figures, score, signatures and warnings; the method is in eval mode afterwards."""
        method.eval()
        seen, signs = _Seen(), _Signs()
        with torch.inference_mode():
            for index, batch in enumerate(self.batches.batches(0)):
                batch = batch.to(place.device)
                out = method(batch.image, batch.breast)
                seen.add(batch, out)
                if index < GUARDED:
                    signs.add(batch, out, *(_judge(method, batch, x_n) for x_n in _plain_and_blurred(out.normal)))
                    with batch_statistics(method):
                        signs.in_batch.add(batch, method(batch.image, batch.breast))
                    signs.in_eval.add(batch, out)
        figures = seen.figures()
        numbers = signs.numbers(memory) | {"asymmetry_spread": guards.spread_of(torch.cat(seen.pair_logit))}
        asymmetry, accuracy = figures["asymmetry_auc"], figures["side_accuracy"]
        numbers["side_gap"] = None if asymmetry is None or accuracy is None else asymmetry - accuracy
        if not seen.has_pair_head:
            numbers["asymmetry_spread"] = None
        known = [figures[name] for name in ("asymmetry_auc", "abnormality_auc")]
        aucs = [value for value in known if value is not None]
        score = sum(aucs) / len(aucs) if aucs and self.chooses else None
        return Validation(figures if self.chooses else {}, score, numbers, guards.warnings_of(numbers))


def _plain_and_blurred(x_n: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """x_n, and its means of 3 x 3 pixels: a pattern that fools the classifier does not outlive them."""
    return x_n, None if x_n is None else F.avg_pool2d(x_n, 3, 1, 1, count_include_pad=False)


def _judge(method: nn.Module, batch: PairBatch, x_n: Tensor | None) -> Tensor | None:
    """(2B,) the classifier's logits on x_n, as the frozen copy sees it where the method has one."""
    if x_n is None:
        return None
    judge = getattr(method, "judge", None)
    if judge is None:
        again: PairOutput = method(x_n, batch.breast)
    else:
        again = judge(x_n, batch.breast, GreyStatistics.of(batch.image, batch.breast))
    return again.side_logit


@contextmanager
def batch_statistics(method: nn.Module) -> Iterator[None]:
    """BatchNorm by the statistics of the batch for a while; the running ones are as before afterwards."""
    layers = [layer for layer in method.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    kept = [{name: buffer.clone() for name, buffer in layer.named_buffers()} for layer in layers]
    modes = [layer.training for layer in layers]
    for layer in layers:
        layer.train()
    try:
        yield
    finally:
        for layer, buffers, mode in zip(layers, kept, modes, strict=True):
            layer.train(mode)
            for name, buffer in layer.named_buffers():
                buffer.copy_(buffers[name])


@dataclass
class _Seen:
    """Labels and logits of the pairs that went by."""

    side: list[Tensor] = field(default_factory=list)
    side_logit: list[Tensor] = field(default_factory=list)
    pair: list[Tensor] = field(default_factory=list)
    pair_logit: list[Tensor] = field(default_factory=list)
    has_pair_head: bool = True

    def add(self, batch: PairBatch, out: PairOutput) -> None:
        # (B, 2): right, left. A method without an asymmetry head is asked by its more abnormal side.
        self.has_pair_head = out.asymmetry_logit is not None
        self.side.append(torch.stack(batch.labels.side.chunk(2), 1).cpu())
        self.pair.append(batch.labels.asymmetric.cpu())
        if out.side_logit is not None:
            self.side_logit.append(torch.stack(out.side_logit.chunk(2), 1).float().cpu())
        pair = self.side_logit[-1].amax(1) if out.asymmetry_logit is None else out.asymmetry_logit.float().cpu()
        self.pair_logit.append(pair)

    def sides_auc(self) -> float | None:
        if not self.side_logit:
            return None
        return auc(torch.cat(self.side).flatten().numpy(), torch.cat(self.side_logit).flatten().numpy())

    def figures(self) -> Numbers:
        return {
            "asymmetry_auc": auc(torch.cat(self.pair).numpy(), torch.cat(self.pair_logit).numpy()),
            "abnormality_auc": self.sides_auc(),
            "side_accuracy": self._side_accuracy(),
        }

    def _side_accuracy(self) -> float | None:
        if not self.side_logit:
            return None
        side, logit = torch.cat(self.side), torch.cat(self.side_logit)
        one = (side[:, 0] - side[:, 1]).abs() == 1  # pairs with exactly one abnormal side
        right = (logit[one, 0] - logit[one, 1]) * (side[one, 0] - side[one, 1])
        hits = (right > 0).double() + 0.5 * (right == 0).double()
        return float(hits.mean()) if len(hits) else None


@dataclass
class _Signs:
    """Sums for the signatures."""

    sums: dict[str, Fraction] = field(default_factory=lambda: defaultdict(lambda: (0.0, 0.0)))
    drawn: Spread = field(default_factory=Spread)
    real: Spread = field(default_factory=Spread)
    in_eval: _Seen = field(default_factory=_Seen)
    in_batch: _Seen = field(default_factory=_Seen)

    def _count(self, name: str, part: Fraction) -> None:
        total, count = self.sums[name]
        self.sums[name] = (total + part[0], count + part[1])

    def add(self, batch: PairBatch, out: PairOutput, judged: Tensor | None, blurred: Tensor | None) -> None:
        x, breast = batch.image, batch.breast
        normal, abnormal = batch.labels.side == 0, batch.labels.side == 1
        if out.side_logit is not None:
            self._count("p_normal", guards.probability_sum(out.side_logit, normal))
        self._count("cam", guards.mean_over(out.cam[abnormal], breast[abnormal]))
        if out.normal is None or judged is None or blurred is None:
            return
        x_n = out.normal
        self.real.add(x)
        self.drawn.add(x_n)
        self._count("copy", guards.change_inside(x, x_n, out.cam))
        self._count("black_holes", guards.black_holes(x_n, out.cam, breast))
        self._count("grey_drawn", guards.mean_over(x_n, breast))
        self._count("grey_real", guards.mean_over(x, breast))
        self._count("background", guards.mean_over(x_n, ~breast))
        self._count("change_normal", guards.change_where(x[normal], x_n[normal], breast[normal]))
        outside = breast & (out.cam < 0.5)
        self._count("change_outside", guards.change_where(x[abnormal], x_n[abnormal], outside[abnormal]))
        self._count("p_normal_drawn", guards.probability_sum(judged, normal))
        self._count("p_abnormal_drawn", guards.probability_sum(judged, abnormal))
        self._count("p_abnormal_blurred", guards.probability_sum(blurred, abnormal))

    def numbers(self, memory: dict[str, list[float]]) -> Numbers:
        found: Numbers = {name: guards.ratio(part) for name, part in self.sums.items()}
        drawn, real = self.drawn.mean_std(), self.real.mean_std()
        found["spread"] = drawn / real if drawn is not None and real else None
        grey_drawn, grey_real = found.pop("grey_drawn", None), found.pop("grey_real", None)
        found["brightness"] = grey_drawn / grey_real if grey_drawn is not None and grey_real else None
        found["pattern"] = guards.universal_pattern(found.get("change_normal"), found.get("change_outside"))
        p, p_drawn, p_abnormal = (found.get(n) for n in ("p_normal", "p_normal_drawn", "p_abnormal_drawn"))
        found["refine_drift"] = None if p is None or p_drawn is None else p_drawn - p
        found["least_p_drawn"] = None if p_drawn is None or p_abnormal is None else min(p_drawn, p_abnormal)
        p_blurred = found.pop("p_abnormal_blurred", None)
        found["fooled"] = None if p_blurred is None or p_abnormal is None else p_blurred - p_abnormal
        if p is not None:
            memory["p_normal"] = [*memory.get("p_normal", []), p][-4:]
            found["normal_rise"] = float(guards.rises(memory["p_normal"]))
        sides = sum(len(labels) * 2 for labels in self.in_eval.side)
        evaluated, batched = self.in_eval.sides_auc(), self.in_batch.sides_auc()
        known = evaluated is not None and batched is not None and sides >= FEWEST
        found["batch_norm_gap"] = (batched or 0.0) - (evaluated or 0.0) if known else None
        return found
