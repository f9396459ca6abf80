"""What this installation can do, and what to mend, one line each."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import tempfile
from pathlib import Path

from disasymnet import __version__
from disasymnet.errors import PictureError

BASE = ("numpy", "scipy", "pillow", "pydicom", "imagecodecs", "torch", "safetensors", "pydantic", "typer")
TRAIN = ("jinja2", "matplotlib", "polars")
DATASETS = ("python-calamine",)


def examine() -> tuple[list[str], bool]:
    """Lines for the person, and whether prediction can work here."""
    lines = [
        f"disasymnet {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}",
        f"{os.cpu_count()} cores, {_gib(_memory())} GiB memory, {_gib(_free_disk())} GiB disk free",
    ]
    missing = [name for name in BASE if _version(name) is None]
    lines += [_library(name, "pip install disasymnet") for name in BASE]
    lines += [_library(name, "only for training and reports: pip install 'disasymnet[train]'") for name in TRAIN]
    datasets = "only for Excel tables and DDSM's films: pip install 'disasymnet[datasets]'"
    lines += [_library(name, datasets) for name in DATASETS]
    if importlib.util.find_spec("torchvision") and not _torchvision_works():
        lines.append(
            "MEND  torchvision is of another make than torch and breaks what imports it: pip uninstall torchvision"
        )
    if "torch" in missing or "pydicom" in missing:
        return lines, False
    lines += [*_decoders(), _limits()]
    lines.append(_device())
    passed, line = _self_test()
    return [*lines, _weights(), line], passed and not missing


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _library(name: str, remedy: str) -> str:
    version = _version(name)
    return f"ok    {name} {version}" if version else f"--    {name} is missing; {remedy}"


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _free_disk() -> int:
    return shutil.disk_usage(Path.cwd()).free


def _gib(size: int) -> int:
    return round(size / 2**30)


def _torchvision_works() -> bool:
    try:
        importlib.import_module("torchvision")
    except Exception:  # whatever a broken build raises, the remedy is the same
        return False
    return True


def _decoders() -> list[str]:
    """Whether a small mammogram in each transfer syntax is decoded: a decoder that is there can still refuse."""
    from disasymnet.images.codecs import SYNTAXES
    from disasymnet.images.read import read_picture
    from disasymnet.testkit.mammograms import drawn, mammogram, write

    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for uid, syntax in SYNTAXES.items():
            eight = syntax.kinds == ("JPEG baseline",)
            pixels = drawn(bits=8).astype("uint8") if eight else drawn()
            path = Path(folder) / "test.dcm"
            path.write_bytes(write(mammogram(pixels), pixels, uid))
            try:
                read_picture(path)
            except PictureError as error:
                lines.append(f"MEND  {syntax.name}: {error.what}; pip install --force-reinstall imagecodecs")
            else:
                lines.append(f"ok    {syntax.name}: {syntax.by}")
    return lines


def _limits() -> str:
    from disasymnet.images.limits import LIMITS, RANGES

    return f"ok    one picture may take {LIMITS}; set by {', '.join(RANGES)}"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"ok    computing on {torch.cuda.get_device_name(0)}"
    return f"ok    computing on the CPU, {torch.get_num_threads()} threads"


def _weights() -> str:
    from disasymnet import weights

    return weights.describe().splitlines()[0]


def _self_test() -> tuple[bool, str]:
    """A small model answers a pair and its mirror image alike."""
    import torch

    from disasymnet.data.batch import swap_sides
    from disasymnet.methods import build
    from disasymnet.recipe import Recipe

    torch.manual_seed(0)
    # Attention that starts at zero would leave the features as they are, and nothing of it would be tested.
    method = build(Recipe.load("phantom", ["model.transformer.zero_init=false"])).eval()
    pair, breast = torch.rand(2, 1, 64, 32), torch.ones(2, 1, 64, 32, dtype=torch.bool)
    with torch.no_grad():
        one, other = method(pair, breast), method(swap_sides(pair), breast)
    answers = [(one.cam, swap_sides(other.cam)), (one.asymmetry_logit, other.asymmetry_logit)]
    answers.append((one.side_logit, swap_sides(other.side_logit)))
    # Not to the bit: a processor may sum the rows of one matrix product in more than one way.
    passed = all(torch.allclose(here, there, rtol=0, atol=1e-5) for here, there in answers)
    return passed, "ok    self-test: exchanging the sides exchanges the answers" if passed else "MEND  self-test failed"
