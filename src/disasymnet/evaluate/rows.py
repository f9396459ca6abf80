"""The rows of the counterfactual benchmark: runs, models of others, folders of pictures, and four reference points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError

from disasymnet.errors import CheckpointError, PictureError
from disasymnet.evaluate.cases import Case, Floats, Masks, batch_of
from disasymnet.evaluate.forward import answer, cam_cut
from disasymnet.evaluate.parts import Part
from disasymnet.metrics.localisation import grown
from disasymnet.metrics.reconstruction import GUARD_PX, rim_fill, ring_fill

Model = Callable[[Floats, Masks], Floats]
"""(2, H, W) float32 grey in [0, 1] and (2, H, W) bool breast, right first, chest wall at column 0 -> (2, H, W) x_n."""

COPY, TRUTH = "copy of the input", "the truth itself"
RING, RIM = "ring mean (told the place)", "rim carried inwards (told the place)"


@dataclass(frozen=True)
class Drawn:
    """What a row makes of one case, (2, H, W), right first; None for what it does not make."""

    normal: Floats | None
    cam: Floats | None = None
    abnormal_part: Floats | None = None
    judged: tuple[float, float] | None = None
    """p(abnormal | x_n) of each side by the row's own classifier."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    kind: str
    """`run`, `model`, `pictures` or `reference`."""
    draw: Callable[[Sequence[Case]], list[Drawn]]
    cam_cut: float = 0.5
    about: dict[str, Any] = field(default_factory=dict)
    """Where it comes from."""


def of_run(name: str, parts: Sequence[Part]) -> Row:
    """A run of this program, or one of folds: each pair is answered by the model that has not seen its woman.

    Its `draw` raises CheckpointError for a pair that none of the parts may be asked about.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ids = [set(part.ids) for part in parts]
    recipe = parts[0].checkpoint.recipe

    def draw(cases: Sequence[Case]) -> list[Drawn]:
        found: dict[str, Drawn] = {}
        for part, own in zip(parts, ids, strict=True):
            asked = [case for case in cases if case.pair.id in own]
            if asked:
                found |= _answers(part, asked, device)
        unasked = [case.name for case in cases if case.name not in found]
        if unasked:
            raise CheckpointError(f"{name} may not be asked about {unasked[0]}: it has learned from that pair")
        return [found[case.name] for case in cases]

    about = {
        "method": recipe.method,
        "recipe": [part.checkpoint.recipe.digest for part in parts],
        "weights": [part.checkpoint.card.weights[:12] for part in parts],
        "epochs": parts[0].checkpoint.card.epochs,
        "seed": recipe.train.seed,
    }
    return Row(name, "run", draw, cam_cut(recipe.model.cam), about)


def _answers(part: Part, cases: Sequence[Case], device: torch.device) -> dict[str, Drawn]:
    answered = answer(part.checkpoint.method.eval().to(device), batch_of(cases), device)
    out, judged = answered.out, answered.judged

    def both(stack: torch.Tensor | None, number: int) -> Floats | None:
        return None if stack is None else stack[[answered.row(number, side) for side in (0, 1)], 0].numpy()

    def second_look(number: int) -> tuple[float, float] | None:
        if judged is None:
            return None
        right, left = torch.sigmoid(judged[[answered.row(number, side) for side in (0, 1)]]).tolist()
        return right, left

    return {
        case.name: Drawn(
            both(out.normal, number), both(out.cam, number), both(out.abnormal_part, number), second_look(number)
        )
        for number, case in enumerate(cases)
    }


def of_model(name: str, model: Model, kind: str = "model") -> Row:
    """Any function from a pair to x_n. PictureError if what it gives is not finite or of another shape."""

    def draw(cases: Sequence[Case]) -> list[Drawn]:
        return [Drawn(_checked(model(case.image, case.breast), case, name)) for case in cases]

    return Row(name, kind, draw)


def _checked(drawn: Floats, case: Case, name: str) -> Floats:
    normal = np.asarray(drawn, dtype=np.float32)
    if normal.shape != case.image.shape:
        raise PictureError(f"{name}, {case.name}: shape {normal.shape}, wanted {case.image.shape}")
    if not np.isfinite(normal).all():
        raise PictureError(f"{name}, {case.name}: x_n holds numbers that are not finite")
    return normal


def of_pictures(name: str, folder: Path) -> Row:
    """Pictures <case>-R.png and <case>-L.png that another program made from the exported inputs."""
    return Row(
        name,
        "pictures",
        lambda cases: [
            Drawn(np.stack([_read(folder / picture_name(case, side), case) for side in (0, 1)])) for case in cases
        ],
    )


def picture_name(case: Case, side: int, part: str = "") -> str:
    """File name of one side (0 = right) of a case."""
    return f"{case.name}-{'RL'[side]}{part}.png"


def _read(path: Path, case: Case) -> Floats:
    try:
        with Image.open(path) as picture:
            mode, pixels = picture.mode, np.asarray(picture)
    except FileNotFoundError:
        raise PictureError(
            "this picture is missing", where=path, hint="Each exported input needs an answer of the same name."
        ) from None
    except (UnidentifiedImageError, OSError) as error:
        raise PictureError(f"cannot be read as a picture: {error}", where=path) from None
    full = {"L": 255, "I;16": 65535, "I": 65535}.get(mode)
    if full is None:
        raise PictureError(f"is of mode {mode}", where=path, hint="Write grey PNG of 16 (or 8) bits.")
    if pixels.shape != case.image.shape[1:]:
        raise PictureError(f"is {pixels.shape}, its input {case.image.shape[1:]} pixels", where=path)
    grey: Floats = pixels.astype(np.float32) / np.float32(full)
    return grey


def references() -> list[Row]:
    """The two ends and two honest shortcuts: nothing done; told the place, no network; and a perfect answer."""

    def told(
        fill: Callable[[Floats, Masks, Masks], npt.NDArray[np.float64]],
    ) -> Callable[[Sequence[Case]], list[Drawn]]:
        def draw(cases: Sequence[Case]) -> list[Drawn]:
            found = []
            for case in cases:
                sides = zip(case.image, case.lesion, case.breast, strict=True)
                found.append(Drawn(np.stack([fill(*side) for side in sides]).astype(np.float32)))
            return found

        return draw

    def rim(x: Floats, lesion: Masks, breast: Masks) -> npt.NDArray[np.float64]:
        # the border of a blended lesion's mask still holds up to a quarter of it
        return rim_fill(x, grown(lesion, GUARD_PX) & breast, breast)

    return [
        Row(COPY, "reference", lambda cases: [Drawn(case.image) for case in cases]),
        Row(RING, "reference", told(ring_fill)),
        Row(RIM, "reference", told(rim)),
        Row(TRUTH, "reference", lambda cases: [Drawn(case.truth) for case in cases]),
    ]
