"""The counterfactual benchmark as Markdown for eyes and CSV for programs; both from the JSON tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from disasymnet.data.files import replace_file
from disasymnet.evaluate.tables import write_csv
from disasymnet.metrics.localisation import SIZES

Tree = Mapping[str, Any]
Column = tuple[str, tuple[str, ...], int]

TABLES: tuple[tuple[str, tuple[Column, ...]], ...] = (
    (
        "Inside the lesions",
        (
            ("error, of the input's", ("removal", "inside_ratio"), 3),
            ("ratio of the sums", ("removal", "inside_ratio_pooled"), 3),
            ("error, grey", ("removal", "error_in"), 3),
            ("PSNR, dB", ("removal", "psnr_in"), 1),
            ("SSIM", ("removal", "ssim_in"), 3),
            ("contrast removed", ("removal", "contrast_removed"), 3),
            ("black holes", ("removal", "black_holes"), 3),
            ("lesions removed", ("removal", "removed_share"), 3),
            ("lesions missed", ("removal", "missed_share"), 3),
        ),
    ),
    (
        "Outside, on normal sides, and what is still seen",
        (
            ("error outside, grey", ("removal", "outside_error"), 4),
            ("PSNR outside, dB", ("removal", "psnr_out"), 1),
            ("SSIM outside", ("removal", "ssim_out"), 3),
            ("change of normal sides, grey", ("normal_change",), 4),
            ("AUC of the judge on x_n", ("judge", "auc"), 3),
            ("fall from the input", ("judge", "fall"), 3),
            ("AUC of the row's own classifier", ("own_look",), 3),
        ),
    ),
    (
        "Where it looks",
        (
            *((f"largest of {name} in a lesion", ("pointing", key), 3) for key, name in
              (("cam", "CAM"), ("x_ab", "x_ab"), ("difference", "difference"))),
            *((f"IoU of {name}", ("localisation", key, "iou"), 3) for key, name in
              (("cam", "CAM"), ("x_ab", "x_ab"), ("difference", "difference"))),
        ),
    ),
)  # fmt: skip
STRATA = (("kind", "by_kind"), ("size", "by_size"))
SHARES = ("inside_ratio", "removed_share", "missed_share")


def markdown(tree: Tree) -> str:
    """The page: what was measured on what, three tables, strata, definitions."""
    counts, rows = tree["counts"], tree["rows"]
    lines = [
        f"# Counterfactual benchmark: {tree['dataset']}, {tree['split']}",
        "",
        f"{tree['use']} Pictures x_n are computed, not measured.",
        "",
        f"Truth: {tree['truth']}. {counts['pairs']} pairs of {counts['patients']} women: {counts['sides_with_lesion']} "
        f"sides with a lesion, {counts['normal_sides']} normal ones; {counts['marked_but_not_visible']} marked sides "
        "do not differ from their truth and take no part. In brackets 95 % intervals over whole women. NA: the row "
        "does not make what is measured; *: a note stands in the JSON.",
        "",
        "Judge: " + (f"{tree['judge']['run']} ({tree['judge']['method']})." if tree["judge"] else "none was given."),
    ]
    for title, columns in TABLES:
        lines += ["", f"## {title}", "", *_table([c[0] for c in columns], _cells(rows, columns))]
    for name, key in STRATA:
        lines += ["", f"## Error left inside by {name} of lesion", "", *_strata(rows, key)]
    lines += ["", "## Definitions", "", *(f"- {name}: {text}" for name, text in tree["rules"].items())]
    lines += [f"- warning: {text}" for text in tree["warnings"]]
    return "\n".join(lines) + "\n"


def _table(heads: Sequence[str], cells: Mapping[str, Sequence[str]]) -> list[str]:
    rule = "|---|" + "---|" * len(heads)
    return [_line("row", heads), rule, *(_line(name.replace("|", "/"), row) for name, row in cells.items())]


def _line(first: str, cells: Sequence[str]) -> str:
    return "| " + " | ".join([first, *cells]) + " |"


def _cells(rows: Tree, columns: Sequence[Column]) -> dict[str, list[str]]:
    return {name: [cell(_at(row, path), digits) for _, path, digits in columns] for name, row in rows.items()}


def _at(tree: Any, path: Sequence[str]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def cell(metric: Tree, digits: int = 3) -> str:
    """`0.451 (0.419 to 0.484)`, or NA; a star where the metric carries a note."""
    if metric["value"] is None:
        return "NA"
    ci = metric["ci"]
    between = "" if ci is None else f" ({ci[0]:.{digits}f} to {ci[1]:.{digits}f})"
    return f"{metric['value']:.{digits}f}{between}" + "*" * ("note" in metric and ci is not None)


def _strata(rows: Tree, key: str) -> list[str]:
    """Rows by strata; each cell the share of the error that is left inside."""
    found: dict[str, int] = {}
    for row in rows.values():
        found |= {stratum: part["inside_ratio"]["n"] for stratum, part in row["removal"][key].items()}
    order = [stratum for stratum in SIZES if stratum in found] if key == "by_size" else list(found)
    if not order:
        return ["No lesion."]
    heads = [f"{stratum.replace('_', ' ')} (n = {found[stratum]})" for stratum in order]
    cells = {
        name: [
            cell(row["removal"][key][stratum]["inside_ratio"]) if stratum in row["removal"][key] else "NA"
            for stratum in order
        ]
        for name, row in rows.items()
    }
    return _table(heads, cells)


def write_long(path: Path, tree: Tree) -> None:
    """One line a row, stratum and figure."""
    columns = ["row", "kind", "stratum", "figure", "value", "ci_low", "ci_high", "unit", "n", "of", "note"]
    write_csv(path, columns, _long(tree["rows"]))


def _long(rows: Tree) -> Iterator[dict[str, object]]:
    for name, row in rows.items():
        for _, columns in TABLES:
            for _, figure, _ in columns:
                yield _record(name, row["kind"], "all", ".".join(figure), _at(row, figure))
        for _, key in STRATA:
            for stratum, part in row["removal"][key].items():
                for share in SHARES:
                    yield _record(name, row["kind"], f"{key}: {stratum}", f"removal.{share}", part[share])


def _record(name: str, kind: str, stratum: str, figure: str, metric: Tree) -> dict[str, object]:
    low, high = metric["ci"] or (None, None)
    return {
        "row": name,
        "kind": kind,
        "stratum": stratum,
        "figure": figure,
        "value": metric["value"],
        "ci_low": low,
        "ci_high": high,
        "unit": metric["unit"],
        "n": metric["n"],
        "of": metric["of"],
        "note": metric.get("note"),
    }


def write_markdown(path: Path, tree: Tree) -> None:
    """The page as a file."""
    replace_file(path, markdown(tree).encode())
