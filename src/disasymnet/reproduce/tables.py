"""A table as JSON, CSV, Markdown and LaTeX; all four from one tree, so that they cannot differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from disasymnet.data.files import replace_file
from disasymnet.evaluate.evaluation import RESEARCH_USE
from disasymnet.evaluate.tables import write_csv
from disasymnet.reproduce.rows import Column

Tree = dict[str, Any]

RULES = (
    "Value: mean over the seeds; +- standard deviation over the seeds.",
    "( ) 95 % interval over whole patients, [ ] over single units (sides, pairs), 1,000 bootstrap resamples each.",
)
OF_COLUMNS = {
    "asymmetric": "NA: the method has no such head.",
    "asymmetric_derived": "The column marked as derived takes the larger of the sides' answers, not that of a head.",
    "iou": "The CAM is cut at its fixed threshold; images without a marked lesion take no part.",
    "iou_chosen": "Cut chosen: that of the best IoU on the validation pairs (of folds, on the others).",
    "ior_det": "IoR of the marked area, as in HAM's code, is what the paper's IoR and mean TIoR are compared with.",
    "inside_ratio": "Removal from real pairs is each results.json's, with intervals there (here for one seed).",
}
CELL_COLUMNS = (
    "row", "label", "share", "column", "value", "ci_low", "ci_high", "ci_unit_low", "ci_unit_high", "seeds", "sd",
    "ensemble", "n", "of", "patients", "paper", "paper_low", "paper_high", "note",
)  # fmt: skip
TEST_COLUMNS = (
    "row", "column", "difference", "ci_low", "ci_high", "n", "p", "p_holm", "units_test", "p_units", "p_units_holm",
    "in_family", "note",
)  # fmt: skip


def write_table(folder: Path, tree: Tree, columns: Sequence[Column]) -> list[Path]:
    """NAME.json, NAME.csv, NAME-tests.csv (where there are tests), NAME.md, NAME.tex; the paths."""
    name = tree["target"]
    paths = [folder / f"{name}{end}" for end in (".json", ".csv", ".md", ".tex")]
    replace_file(paths[0], (json.dumps(tree, indent=1, allow_nan=False) + "\n").encode())
    write_csv(paths[1], CELL_COLUMNS, _cells(tree))
    replace_file(paths[2], markdown(tree, columns).encode())
    replace_file(paths[3], latex(tree, columns).encode())
    if tree["tests"]:
        paths.append(folder / f"{name}-tests.csv")
        write_csv(paths[-1], TEST_COLUMNS, _tests(tree))
    return paths


def _cells(tree: Tree) -> Iterator[dict[str, object]]:
    for row in tree["rows"]:
        for column, cell in row["cells"].items():
            low, high = cell.get("ci") or (None, None)
            unit_low, unit_high = cell.get("ci_unit") or (None, None)
            value, paper_low, paper_high = cell["paper"] or (None, None, None)
            yield {name: cell.get(name) for name in ("value", "sd", "ensemble", "n", "of", "patients", "note")} | {
                "row": row["name"], "label": row["label"], "share": row["share"], "column": column,
                "ci_low": low, "ci_high": high, "ci_unit_low": unit_low, "ci_unit_high": unit_high,
                "seeds": len(cell.get("seeds", {})), "paper": value, "paper_low": paper_low, "paper_high": paper_high,
            }  # fmt: skip


def _tests(tree: Tree) -> Iterator[dict[str, object]]:
    for test in tree["tests"]:
        difference = test["difference"] or {}
        low, high = difference.get("ci") or (None, None)
        yield test | {"difference": difference.get("value"), "ci_low": low, "ci_high": high, "n": difference.get("n")}


def markdown(tree: Tree, columns: Sequence[Column]) -> str:
    """The table, what is missing, the tests, and the rules."""
    heads = ["method", *_heads(tree, columns)]
    lines = [f"# {tree['title']}, {tree['dataset']}", "", RESEARCH_USE, ""]
    if tree["missing"]:
        lines += [f"**Not complete.** {len(tree['missing'])} runs are missing:", ""]
        lines += [*(f"- {each}" for each in tree["missing"]), ""]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in tree["rows"]:
        lines.append("| " + " | ".join([_shown(row), *_texts(row, columns, _plain, bool(tree["paper"]))]) + " |")
    lines += ["", *(f"- {each}" for each in _notes(tree, columns)), ""]
    if tree["tests"]:
        lines += ["## DisAsymNet minus each row", "", *_test_table(tree), "", tree["declared"], ""]
    return "\n".join(lines)


def _notes(tree: Tree, columns: Sequence[Column]) -> list[str]:
    return [*RULES, *(OF_COLUMNS[column.key] for column in columns if column.key in OF_COLUMNS), *tree["notes"]]


def _shown(row: Tree) -> str:
    return str(row["label"]) + (f", {100 * row['share']:g} %" if row["share"] < 1 else "")


def _heads(tree: Tree, columns: Sequence[Column]) -> list[str]:
    """Each column with its n, and behind it the paper's where it has one."""
    heads = []
    for column in columns:
        cells = [row["cells"][column.key] for row in tree["rows"]]
        counts = {(cell["n"], cell["of"]) for cell in cells if cell["value"] is not None}
        n = f" (n = {'; '.join(f'{n}, by {of}' for n, of in sorted(counts))})" if counts else ""
        heads.append(column.label + n)
        if tree["paper"] and column.paper:
            heads.append(f"paper, {tree['paper']}")
    return heads


def _texts(row: Tree, columns: Sequence[Column], show: Callable[[Tree, Column], str], paper: bool) -> Iterator[str]:
    for column in columns:
        cell = row["cells"][column.key]
        yield show(cell, column)
        if paper and column.paper:
            yield _printed(cell["paper"], column)


def _plain(cell: Tree, column: Column) -> str:
    if cell["value"] is None:
        return _absent(cell)
    text = _number(cell["value"], column)
    if cell.get("sd") is not None:
        text += f" +- {_number(cell['sd'], column)}"
    if cell["ci"]:
        text += f" ({_between(cell['ci'], column)})"
    if cell.get("ci_unit"):
        text += f" [{_between(cell['ci_unit'], column)}]"
    return text


def _absent(cell: Tree) -> str:
    note = cell.get("note", "")
    return "NA" if "no" in note and "head" in note else f"- ({note})"


def _printed(paper: Sequence[float | None] | None, column: Column) -> str:
    if paper is None:
        return "NA"
    digits = column.digits
    value, low, high = paper  # in the paper's own scale
    between = "" if low is None else f" ({low:.{digits}f} to {high:.{digits}f})"
    return f"{value:.{digits}f}{between}"


def _number(value: float, column: Column) -> str:
    return f"{value * (100 if column.percent else 1):.{column.digits}f}"


def _between(ci: Sequence[float], column: Column) -> str:
    return f"{_number(ci[0], column)} to {_number(ci[1], column)}"


def _test_table(tree: Tree) -> Iterator[str]:
    yield "| against | figure | difference (patients) | p | p, Holm | test over units | p | p, Holm | single seeds, p |"
    yield "|" + "---|" * 9
    for test in tree["tests"]:
        if test["difference"] is None or test["difference"]["value"] is None:
            note = test.get("note") or test["difference"]["note"]
            yield f"| {test['label']} | {test['column']} | - ({note}) |  |  |  |  |  |  |"
            continue
        found = test["difference"]
        ci = "" if found.get("ci") is None else f" ({found['ci'][0]:+.3f} to {found['ci'][1]:+.3f})"
        seeds = ", ".join(_p(seed["p_units"]) for seed in test["seeds"].values())
        yield (
            f"| {test['label']} | {test['column']} | {found['value']:+.3f}{ci} | {_p(test['p'])} | "
            f"{_p(test.get('p_holm'))} | {test['units_test']} | {_p(test['p_units'])} | "
            f"{_p(test.get('p_units_holm'))} | {seeds} |"
        )


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


def latex(tree: Tree, columns: Sequence[Column]) -> str:
    """A `tabular` that needs no package; what is missing and the rules stand in comments."""
    heads = ["method", *_heads(tree, columns)]
    lines = [f"% {tree['title']}, {tree['dataset']}. {RESEARCH_USE}"]
    lines += [f"% missing: {each}" for each in tree["missing"]]
    lines += [f"% {each}" for each in _notes(tree, columns)]
    lines += [r"\begin{tabular}{l" + "c" * (len(heads) - 1) + "}", r"\hline"]
    lines += [" & ".join(map(_escaped, heads)) + r" \\", r"\hline"]
    for row in tree["rows"]:
        texts = [_shown(row), *_texts(row, columns, _plain, bool(tree["paper"]))]
        lines.append(" & ".join(_escaped(text).replace("+-", r"$\pm$") for text in texts) + r" \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}", ""])


def _escaped(text: str) -> str:
    for sign in "&%_#$":
        text = text.replace(sign, f"\\{sign}")
    return text
