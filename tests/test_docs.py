from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

from tests.evaluate.trained import save_run, small_recipe

ROOT = Path(__file__).parents[1]


def test_every_symbol_of_the_paper_map_exists() -> None:
    text = (ROOT / "docs" / "paper-map.md").read_text()
    names = re.findall(r"`(disasymnet\.[\w.]+)`", text)
    assert len(names) >= 15
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            module, *attributes = _split(name)
            found: object = importlib.import_module(module)
            for attribute in attributes:
                found = getattr(found, attribute)


def _split(name: str) -> list[str]:
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:cut])
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            continue
        return [module, *parts[cut:]]
    raise ModuleNotFoundError(name)


def test_the_code_carries_every_equation_tag() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    missing = [tag for tag in (f"E{number}" for number in range(1, 16)) if not re.search(rf"\b{tag}\b", code)]
    assert missing == []


def test_no_paths_of_one_machine() -> None:
    pattern = re.compile(r"(^|[^\w.:])/(?:home|root|tmp|mnt|srv|usr/local|[a-z]+/scratch)/\w")
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("*.toml"),
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "docs").rglob("*.md"),
    ]:
        assert not pattern.search(path.read_text()), path


def test_every_code_of_a_refusal_is_explained() -> None:
    from disasymnet.images.refusals import NEXT_STEP

    table = (ROOT / "docs" / "dicom.md").read_text().split("## Refusals")[1]
    explained = {
        code
        for line in table.splitlines()
        for code in re.findall(r"`([a-z_]+)`", line.split("|")[1:2][0] if "|" in line else "")
    }
    assert explained == set(NEXT_STEP)


def test_imports_in_the_docs_work() -> None:
    lines = re.findall(
        r"^ {4}(from disasymnet\S* import .+)$", (ROOT / "docs/counterfactual-protocol.md").read_text(), re.M
    )
    assert len(lines) >= 5
    for line in lines:
        _, module, _, names = line.split(maxsplit=3)
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name), line


def _codes() -> set[str]:
    """Every code of those left out that the sources write: in a call, or as a key of a table of next steps."""
    found: set[str] = set()
    for path in (ROOT / "src" / "disasymnet").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            words: list[ast.expr | None] = []
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in ("Rejected", "_rejected", "reject"):
                    words += node.args[1:2]
                elif name in ("refusal", "StreamError"):
                    words += node.args[:1]
                words += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            elif isinstance(node, ast.Assign) and any(getattr(one, "id", "") == "NEXT_STEP" for one in node.targets):
                words += node.value.keys if isinstance(node.value, ast.Dict) else []
            found |= {
                one.value
                for word in words
                for one in ([word.body, word.orelse] if isinstance(word, ast.IfExp) else [word])
                if isinstance(one, ast.Constant) and isinstance(one.value, str) and re.fullmatch("[a-z_]+", one.value)
            }
    return found


def test_every_code_of_those_left_out_stands_in_a_document() -> None:
    pages = [ROOT / "docs" / "dicom.md", *sorted((ROOT / "docs" / "data-sets").glob("*.md"))]
    told = {word for page in pages for word in re.findall(r"`([a-z_]+)`", page.read_text(encoding="utf-8"))}
    codes = _codes()
    assert {"damaged", "unpaired", "ics", "partner", "truth_size"} <= codes
    assert sorted(codes - told) == []


def test_the_python_example_of_the_readme_runs(phantom_cache, tmp_path, monkeypatch, capsys) -> None:
    demo = tmp_path / "out" / "demo"
    save_run(demo / "run", phantom_cache, small_recipe())
    (demo / "exams").symlink_to(phantom_cache.path.parent / "exams")
    monkeypatch.chdir(tmp_path)
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert re.fullmatch(r"0\.\d+ 0\.\d+\n", capsys.readouterr().out)
    assert (tmp_path / "answer").is_dir()
    assert list((tmp_path / "answer").rglob("*.json"))
