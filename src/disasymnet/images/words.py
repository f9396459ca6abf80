"""The words that systems and people write beside breast and view, and what they make of the picture.

The abbreviations are those of PS3.16 CID 4015 (those of the American College of Radiology), the words those of vendors
and of technologists, German among them. A word is compared as a whole: ML is never MLO, and `Magdalena` no
magnification.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from disasymnet.terms import Laterality, View

_SPECIAL = {
    "magnification": r"M|MAGN?|MAGS|MAGNI\w*|VERGR|VERGRO\w*|ENLARG\w*|AGRANDI\w*|INGRANDI\w*|AMPLIA\w*|LUPE|LUPEN\w*",
    "spot": r"S|SPOT\w*|CONE|CONED\w*|ZIEL|ZIELAUFNAHME\w*|ZIELKOMPR\w*|[FL]OCALI[SZ]AD[AO]S?",
    "rolled": r"RL|RM|RI|RS|ROLL|ROLLED|ROLLING|GEROLLT\w*",
    "tangential": r"TAN|TANG|TANGENT\w*",
    "cleavage": r"CV|CLEAVAGE|VALLEY",
    "axillary_tail": r"AT|AXILLA|AXILLARY",
    "partial": r"AC|IMF|PARTIAL|MOSAIC",
    "exaggerated": r"XL|XM|XCC|EXAG\w*",
    "specimen": r"SPECIMENS?|PRAE?PARAT\w*",
    "biopsy": r"BIOP|BIOPS\w*|BX|STEREO\w*|STANZ\w*|WIRES?|NEEDLES?|LOC|LO[CK]ALI[SZ]ATION\w*|LOKALISIERUNG\w*"
    r"|DRAHT\w*|NADEL\w*",
}
_KIND = {
    "synthetic": r"CVIEW|SVIEW|VPREVIEW|SYNTHETIC|SYNTHETISCH\w*|SYNTHESI[SZ]ED|INTELLIGENT2D|INSIGHT2D|GENERATED2D",
    "tomosynthesis": r"TOMO\w*|DBT",
    "contrast": r"RECOMB\w*|SUBTRACT\w*|SUBTRAKT\w*|HIGHENERGY|DUALENERGY"
    r"|GALA[CK]TOGR\w*|DU[CK]TOGR\w*",
    "contrast_exam": r"CESM|CEDM|CEM|POSTCONTRAST|PRECONTRAST",
    "low_energy": r"LOWENERGY",
    "cad": r"CAD|ICAD|IMAGECHECKER|SECONDLOOK",
}
_PHRASES = [
    (re.compile(rf"\b{phrase}\b"), word)
    for phrase, word in (
        (r"R/O", " "),  # "rule out", not a right breast
        (r"ID[ :#=_-]*(?:(?:NO|NR)\b[ .:]*)?\d{2,}\w*", "IDENTIFIER"),  # of a patient or study, no displaced implant
        (r"X ?(?:1[.,][3-9]\d*|[23][.,]\d+)", "MAG"),  # x1.8
        (r"(?:1[.,][3-9]\d*|[23][.,]\d+) ?X", "MAG"),
        (r"(?:L|LT)[ ._-]+(?=BREAST|BRUST|MAMMA)", "LEFT "),
        (r"(?:R|RT)[ ._-]+(?=BREAST|BRUST|MAMMA)", "RIGHT "),
        (r"AXILLARY[ _-]TAIL", "AT"),
        (r"AXILLARY[ _-]TISSUE", "AX"),
        (r"IMPLANTS?[ _-]DISPLACED", "ID"),
        (r"NIPPLE[ _-]IN[ _-]PROFILE", "NP"),
        (r"ANTERIOR[ _-]COMPRESSION", "AC"),
        (r"INFRA[ _-]?MAMMARY[ _-]FOLD", "IMF"),
        (r"([CS])[ _-]VIEW", r"\1VIEW"),
        (r"V[ _-]PREVIEW", "VPREVIEW"),
        (r"(INTELLIGENT|INSIGHT|GENERATED)[ _-]2D", r"\g<1>2D"),
        (r"(LOW|HIGH|DUAL)[ _-]ENERGY", r"\1ENERGY"),
        (r"(POST|PRE)[ _-]CONTRAST", r"\1CONTRAST"),
        (r"SECOND[ _-]LOOK", "SECONDLOOK"),
        (r"IMAGE[ _-]CHECKER", "IMAGECHECKER"),
    )
]
_TIMES = "\N{MULTIPLICATION SIGN}"
_DISPLACED, _EXTRA = ("ID", "EKLUND"), ("NP", "AX")  # AX: axillary tissue in the view
_BETWEEN = ("BREAST", "BRUST", "MAMMA", "MAMMO", "VIEW", "VIEWS", "COMPRESSION", "KOMPRESSION")
_SIDES = {
    Laterality.LEFT: re.compile(r"LT|LINKS|LINKE[NRS]?"),
    Laterality.RIGHT: re.compile(r"RT|RECHTS|RECHTE[NRS]?"),
}
"""Beside those that tables and tags spell."""
_VIEWS = "|".join(sorted(View, key=len, reverse=True))
_SUFFIX = "ID|RL|RM|RI|RS|SPOT|MAG|TAN|CV|AT|NP|AX|M|S"
_FUSED = re.compile(rf"([RL])?([MS])?({_VIEWS})((?:{_SUFFIX})*)")  # RCC, LMLO, CCID, RMCC, LMLOSM
_SPECIAL_OF = [(re.compile(pattern), code) for code, pattern in _SPECIAL.items()]
_KIND_OF = [(re.compile(pattern), code) for code, pattern in _KIND.items()]


@dataclass(frozen=True)
class _Word:
    """What one word says."""

    text: str
    side: Laterality | None = None
    view: View | None = None
    special: str | None = None
    kind: str | None = None
    displaced: bool = False
    extra: bool = False
    known: bool = True


@dataclass(frozen=True)
class Words:
    """What a text says of its picture."""

    sides: tuple[Laterality, ...]
    """The breasts that it names: a free text at most one."""
    views: tuple[View, ...]
    special: str | None
    """Why it shows no screening view, by the first word that tells: a key of the first table above."""
    kinds: tuple[str, ...]
    """What other kind of picture it is: keys of the second one."""
    displaced: bool
    extra: bool
    """With what does no harm: nipple in profile, axillary tissue."""
    unknown: bool
    """Words that are not known stand beside the view."""


def of_code_string(text: str) -> Words:
    """ViewPosition's words. A code string is about its picture alone: every word of it counts."""
    words = list(_words(text, fused=True))
    sides, views = _named(words)
    return _say(words, sides, views, bool(views) and not all(word.known for word in words))


def of_free_text(text: str) -> Words:
    """The known words of a description that speaks of one picture.

    It does where it names one view and no other (`R SPOT CC`, `CC MAG`), or holds known words alone (`Spot mag`);
    `Screening and spot views` and `RCC LCC RMLO LMLO` speak of several pictures. Breast and view are named by words
    with none but known ones between them, a breast alone where no other word is there (`Left breast`). Abbreviations
    of one or two letters have other senses, and combined exams are named for their tomosynthesis: these count only
    where known words alone lead to the view.
    """
    words = list(_words(text, fused=False))
    sides, views = _named(words)
    one = len(views) == 1 and len(sides) <= 1
    if not one and (views or not all(word.known for word in words)):
        return _say([], (), (), False)
    counted, together = [], False
    alone = not one and len(sides) == 1 and any(word.side and len(word.text) > 2 for word in words)
    combined = any(word.text.startswith("COMBO") for word in words)
    for run in _runs(words):
        viewed = any(word.view for word in run)
        together |= viewed and any(word.side for word in run)
        # `R MLO AT` names the axillary tail, `R MLO at 10:30` does not.
        far = [word for word in run if word.text == "AT" and word is not words[-1]]
        if not viewed or combined:
            far += [word for word in run if word.kind == "tomosynthesis"]
        if not viewed:
            far += [word for word in run if len(word.text) <= 2]
        counted += [word for word in run if word not in far]
    return _say(counted, sides if together or alone else (), views if together else (), False)


def kinds(text: str) -> set[str]:
    """Every other kind of picture that a text speaks of, of whichever picture: `synthetic`, `tomosynthesis` ..."""
    return {word.kind for word in _words(text, fused=False) if word.kind is not None}


def _named(words: list[_Word]) -> tuple[tuple[Laterality, ...], tuple[View, ...]]:
    """Every breast and every view once, in the text's order."""
    sides = dict.fromkeys(word.side for word in words if word.side is not None)
    views = dict.fromkeys(word.view for word in words if word.view is not None)
    return tuple(sides), tuple(views)


def _say(words: list[_Word], sides: tuple[Laterality, ...], views: tuple[View, ...], unknown: bool) -> Words:
    return Words(
        sides,
        views,
        next((word.special for word in words if word.special), None),
        tuple(dict.fromkeys(word.kind for word in words if word.kind)),
        any(word.displaced for word in words),
        any(word.extra for word in words),
        unknown,
    )


def _words(text: str, *, fused: bool) -> Iterator[_Word]:
    """The words in their order. `fused`: also a view with a modifier and no breast in one word, as `MCC` or `CCID`."""
    spelt = unicodedata.normalize("NFKD", text.upper().replace(_TIMES, "X"))
    plain = "".join(c for c in spelt if not unicodedata.combining(c))
    for phrase, word in _PHRASES:
        plain = phrase.sub(word, plain)
    for token in re.findall(r"[A-Z0-9]+", plain):
        yield _word(token, fused)


def _word(token: str, fused: bool) -> _Word:
    view, side = View.parse(token), _side(token)
    if view is not None or side is not None or token in _BETWEEN:
        return _Word(token, side, view)
    if token in _DISPLACED or token in _EXTRA:
        return _Word(token, displaced=token in _DISPLACED, extra=token in _EXTRA)
    for pattern, code in _SPECIAL_OF:
        if pattern.fullmatch(token):
            return _Word(token, special=code)
    for pattern, code in _KIND_OF:
        if pattern.fullmatch(token):
            return _Word(token, kind=code)
    parts = _FUSED.fullmatch(token)
    if parts is None or not (fused or parts[1]):
        return _Word(token, known=False)
    modifiers = [_word(each, fused) for each in ([parts[2]] if parts[2] else []) + re.findall(_SUFFIX, parts[4])]
    said = _say(modifiers, (), (), False)
    side = Laterality.parse(parts[1] or "")
    return _Word(token, side, View(parts[3]), said.special, displaced=said.displaced, extra=said.extra)


def _side(token: str) -> Laterality | None:
    return Laterality.parse(token) or next((side for side, known in _SIDES.items() if known.fullmatch(token)), None)


def _runs(words: list[_Word]) -> Iterator[list[_Word]]:
    """The stretches of known words."""
    for known, run in groupby(words, lambda word: word.known):
        if known:
            yield list(run)
