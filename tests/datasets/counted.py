"""What a scan holds, counted as `disasymnet.testkit` counts what it planted."""

from __future__ import annotations

from collections import Counter

from disasymnet.data.pairing import pair_up
from disasymnet.records import Scan
from disasymnet.testkit import Planted


def counted(found: Scan) -> Planted:
    pairs, _ = pair_up(found.pictures)
    findings = [finding for picture in found.pictures for finding in picture.findings]
    labels = Counter(picture.abnormal for picture in found.pictures)
    return Planted(
        women=len({picture.patient for picture in found.pictures}),
        exams=len({(picture.patient, picture.exam) for picture in found.pictures}),
        pictures=len(found.pictures),
        normal=labels[False],
        abnormal=labels[True],
        unknown=labels[None],
        pairs=Counter(tuple(picture.abnormal for picture in pair.pictures) for pair in pairs),
        lesions=Counter(str(finding.kind or "unknown") for finding in findings),
        located=sum(finding.region is not None for finding in findings),
        rejected=Counter(entry.code for entry in found.rejected),
    )
