"""A data set in numbers, beside the paper's and the published ones, each difference explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from disasymnet.data.pairing import pair_up
from disasymnet.data.published import MINI_DDSM, PUBLISHED, Published
from disasymnet.datasets import find
from disasymnet.records import Pair, Rejected, Scan
from disasymnet.terms import FindingKind, View

_NOT_ITS_OWN = ("copy", "unnamed", "not_a_picture", "hidden", "outside")  # files that no publisher counted
_SIDES = {0: "pairs both normal", 1: "pairs one abnormal", 2: "pairs both abnormal"}


def describe(dataset: str, root: Path) -> str:
    """Counts of the folder as a table, then what explains its differences. DatasetError as the data set's adapter."""
    found = find(dataset).scan(root)
    counts = count(found)
    facts = _facts(dataset, found)
    _, left_over = pair_up(found.pictures)
    lines = [f"{facts.title if facts else dataset}: {counts['women']} women, {counts['pairs']} pairs", ""]
    lines += _table(counts, facts)
    remarks = [*_left_out(found.rejected, left_over), *(f"warning: {warning}" for warning in found.warnings)]
    lines += ["", *remarks] if remarks else []
    if facts is not None:
        lines += ["", *_differences(counts, facts, found.rejected)]
    return "\n".join(lines).rstrip()


def count(found: Scan) -> dict[str, int]:
    """What a scan holds, by row of the table; women without a name of their own are not counted twice."""
    pairs, _ = pair_up(found.pictures)
    findings = [finding for picture in found.pictures for finding in picture.findings]
    views = Counter(picture.view if picture.view in (View.CC, View.MLO) else None for picture in found.pictures)
    labels = Counter(picture.abnormal for picture in found.pictures)
    sides = Counter(_side(pair) for pair in pairs)
    kinds = Counter(finding.kind for finding in findings)
    return {
        "women": len({picture.patient for picture in found.pictures if picture.patient}),
        "exams": len({(picture.patient, picture.exam) for picture in found.pictures}),
        "pictures": len(found.pictures),
        "views CC": views[View.CC],
        "views MLO": views[View.MLO],
        "views other": views[None],
        "pictures normal": labels[False],
        "pictures abnormal": labels[True],
        "pictures unknown": labels[None],
        "pairs": len(pairs),
        **{name: sides[name] for name in (*_SIDES.values(), "pairs undecided")},
        "pairs symmetric": sum(pair.asymmetric is False for pair in pairs),
        "pairs asymmetric": sum(pair.asymmetric is True for pair in pairs),
        "lesions": len(findings),
        **{f"lesions {kind.value.replace('_', ' ')}": kinds[kind] for kind in FindingKind},
        "lesions of unknown kind": kinds[None],
        "lesions with a place": sum(finding.region is not None for finding in findings),
    }


def _side(pair: Pair) -> str:
    labels = [picture.abnormal for picture in pair.pictures]
    return "pairs undecided" if None in labels else _SIDES[labels.count(True)]


def _facts(dataset: str, found: Scan) -> Published | None:
    """One adapter reads DDSM and Mini-DDSM, whose counts are their own."""
    reduced = not any(picture.path.suffix.upper() == ".LJPEG" for picture in found.pictures)
    return MINI_DDSM if dataset == "ddsm" and reduced else PUBLISHED.get(dataset)


def _table(counts: Mapping[str, int], facts: Published | None) -> list[str]:
    columns: dict[str, Mapping[str, int]] = {"here": counts}
    if facts is not None:
        others = {"published": facts.published, "paper": facts.paper}
        columns |= {name: column for name, column in others.items() if column}
    rows = [
        name
        for name in counts
        # Rows that are empty everywhere say nothing, but a zero beside another's number does.
        if any(column.get(name) for column in columns.values()) or not name.startswith(("lesions", "views"))
    ]
    lines = [" " * 34 + "".join(f"{head:>11}" for head in columns)]
    for name in rows:
        indent = "  " if " " in name else ""
        cells = "".join(f"{column[name]:>11,}" if name in column else f"{'-':>11}" for column in columns.values())
        lines.append(f"{indent + name:34}{cells}")
    return lines


def _left_out(rejected: tuple[Rejected, ...], left_over: list[Rejected]) -> list[str]:
    lines = []
    for title, entries in (("left out by the adapter", rejected), ("without a place in a pair", left_over)):
        codes = Counter(entry.code for entry in entries)
        if codes:
            lines.append(f"{title}: {', '.join(f'{number} {code}' for code, number in codes.most_common())}")
    return lines


def _differences(counts: Mapping[str, int], facts: Published, rejected: tuple[Rejected, ...]) -> list[str]:
    """Every row where here and published differ, with the reason, and the notes on the others' numbers."""
    differing = [name for name in facts.published if counts[name] != facts.published[name]]
    lines = [] if differing or not facts.published else ["Here and published agree in every row."]
    if "pictures" in differing:
        lines.append(_pictures(counts["pictures"] - facts.published["pictures"], facts, rejected))
    for name in differing:
        if name != "pictures":
            more = counts[name] - facts.published[name]
            why = (
                "follows from the pictures that are here"
                if "pictures" in differing
                else f"of {counts['pictures unknown']} pictures the label is unknown here"
                if name.startswith(("pictures", "pairs")) and counts["pictures unknown"]
                else "see the notes"
            )
            lines.append(f"{name}: {abs(more):,} {'more' if more > 0 else 'fewer'} than published; {why}.")
    return lines + [f"note: {note}" for note in facts.notes]


def _pictures(more: int, facts: Published, rejected: tuple[Rejected, ...]) -> str:
    if more > 0:
        return f"pictures: {more:,} more than published: is this folder another edition of the data set?"
    codes = Counter(entry.code for entry in rejected if entry.code not in (*facts.apart, *_NOT_ITS_OWN))
    told = ", ".join(f"{number} {code}" for code, number in codes.most_common())
    rest = -more - sum(codes.values())
    lost = f"{rest:,} neither here nor named by what is here" if rest > 0 else ""
    return f"pictures: {-more:,} fewer than published: {'; '.join(part for part in (told, lost) if part)}."
