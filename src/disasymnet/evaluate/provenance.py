"""Where a number comes from: recipe, data, code, versions, seeds and machine; no person, no path of the machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import disasymnet

LIBRARIES = ("numpy", "scipy", "torch", "safetensors", "pydantic", "pydicom", "pillow")


def commit() -> str | None:
    """The commit of the checkout that this package runs from, with `+` if files differ from it; else None."""
    root = Path(disasymnet.__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        name = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return name + "+" * bool(changed)


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, accelerator, system."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _processor(),
        "cores": cores,
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown"


def versions() -> dict[str, str]:
    """Of Python, of this package and of the libraries that numbers depend on."""
    found = {"python": platform.python_version(), "disasymnet": disasymnet.__version__}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def command() -> str:
    """How this process was started, each path shortened to its last name."""
    words = [Path(word).name if os.sep in word else word for word in sys.argv]
    program = "disasymnet" if words[:1] in (["cli.py"], ["disasymnet"]) else " ".join(words[:1])
    return " ".join([program, *words[1:]])
