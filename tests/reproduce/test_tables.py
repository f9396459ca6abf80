"""The paper's values beside ours, in its own scale."""

from __future__ import annotations

import numpy as np

from disasymnet.reproduce.compare import cell
from disasymnet.reproduce.rows import ABNORMAL, ASYMMETRIC, TIOU
from disasymnet.reproduce.tables import latex, markdown
from tests.reproduce.answered import answers, filled

COLUMNS = (ASYMMETRIC, ABNORMAL, TIOU)


def _tree(paper: str | None) -> dict:
    label = np.array([1.0, 1, 0, 0, 1, 0])
    iou = np.where(label[:, None] == 1, [[0.35, np.nan]] * 6, np.nan)
    side = np.stack([label, np.zeros(6)], axis=1)
    lines = [
        filled("ham", answers(label, np.full(6, np.nan), side, cam_iou=iou)),
        filled("asyd-syn", answers(label, label, side, cam_iou=iou)),
        filled("disasymnet"),
    ]
    rows = [
        {"name": line.line.row.name, "label": line.line.row.label, "share": 1.0}
        | {"cells": {column.key: cell(line, column, paper) for column in COLUMNS}}
        for line in lines
    ]
    words = {"title": "Table", "dataset": "inbreast", "paper": paper, "notes": ["a note"], "declared": ""}
    return words | {"rows": rows, "tests": [], "missing": ["disasymnet, seed 0: to be trained"]}


def test_the_papers_value_stands_behind_each_figure_that_it_prints() -> None:
    lines = markdown(_tree("INBreast"), COLUMNS).splitlines()
    head, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| "))
    assert head[2::2] == ["paper, INBreast"] * 3
    ham, asyd, ours = rows
    assert ham[1:3] == ["NA", "NA"]
    assert ham[4] == "0.680 (0.438 to 0.884)"
    assert asyd[0] == "AsyD & Syn"
    assert asyd[1].startswith("1.000 (1.000 to 1.000)")
    assert asyd[5].startswith("42.9 (42.9 to 42.9)")  # 0.35 reaches three of seven thresholds
    assert asyd[6] == "37.1"
    assert ours[2::2] == ["0.907 (0.792 to 0.990)", "0.819 (0.670 to 0.937)", "60.0"]
    assert ours[1::2] == ["- (not yet evaluated)"] * 3
    assert "- disasymnet, seed 0: to be trained" in lines


def test_without_a_data_set_of_the_paper_there_is_no_such_column() -> None:
    page, source = (write(_tree(None), COLUMNS) for write in (markdown, latex))
    assert "paper" not in page.split("| method")[1].split("\n- ")[0]
    assert r"\begin{tabular}{lccc}" in source
    assert r"\begin{tabular}{lcccccc}" in latex(_tree("INBreast"), COLUMNS)


def test_latex_has_as_many_cells_in_each_line_and_no_bare_sign() -> None:
    source = latex(_tree("INBreast"), COLUMNS)
    body = [line for line in source.splitlines() if line.endswith(r"\\")]
    assert len(body) == 4
    assert {line.replace(r"\&", "").count("&") for line in body} == {6}
    assert r"AsyD \& Syn" in source
    assert r"mean TIoU \%" in source
    assert source.startswith("% Table, inbreast. Research use only")
    assert "% missing: disasymnet, seed 0: to be trained" in source
