"""No part of an installation, with all extras, is under a GPL: what uses us need not become GPL."""

from __future__ import annotations

import importlib.metadata
import re

from packaging.requirements import Requirement


def installed() -> set[str]:
    """Names of all that `disasymnet` with its extras brings, as far as it is installed."""
    names, waiting = set(), ["disasymnet"]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        try:
            wanted = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        if name not in names:
            names.add(name)
            extras = [""] if name != "disasymnet" else ["", "train", "dev"]
            requirements = [Requirement(text) for text in wanted]
            waiting += [
                each.name
                for each in requirements
                if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
            ]
    return names


def test_nothing_is_under_the_gpl() -> None:
    names = installed()
    assert {"numpy", "pydicom", "pytest"} <= names
    for name in names:
        facts = importlib.metadata.metadata(name)
        licences = [facts.get("License-Expression") or "", *(facts.get_all("Classifier") or [])]
        # The long text of some packages names the licences of parts, with their exceptions; the expression decides.
        licences += [facts.get("License") or ""] if not licences[0] and len(facts.get("License") or "") < 100 else []
        words = " ".join(word for word in licences if "Licen" in word or word in licences[:1] or "::" not in word)
        assert not re.search(r"\bA?GPL|General Public License", words.replace("LGPL", "")), (name, words)
    assert "pylibjpeg-libjpeg" not in names
