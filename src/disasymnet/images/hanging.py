"""How a mammogram hangs by its tags: where the chest wall lies, and whether the picture stands on its head.

PatientOrientation (PS3.3 C.7.6.1.1.1) names where its rows lead and where its columns lead. Rows that lead to the front
(A) begin at the chest wall, which then lies at the left edge. Columns of a CC lead inwards, those of an MLO to the
foot and inwards: A\\R and A\\FR for a left breast, P\\L and P\\FL for a right one. Where columns lead the other way the
picture lies upside down; where the columns lead along A or P, and not the rows, it was turned by a quarter.
"""

from __future__ import annotations

from disasymnet.records import Edge
from disasymnet.terms import Laterality, View

Orientation = tuple[str, str]
"""Where the rows and where the columns lead, the main direction first: `A`, `FR`."""


def orientation(values: list[str]) -> Orientation | None:
    """PatientOrientation's values where they are directions: CBIS-DDSM writes the view there."""
    upper = [value.upper() for value in values]
    if len(upper) != 2 or not all(value and set(value) <= set("APRLHF") for value in upper):
        return None
    return upper[0], upper[1]


def wall_by(shown: Orientation | None) -> Edge | None:
    """The edge with the chest wall, where the rows tell."""
    if shown is None or turned_by_a_quarter(shown):
        return None
    letter = next((letter for letter in shown[0] if letter in "AP"), None)
    return None if letter is None else "left" if letter == "A" else "right"


def turned_by_a_quarter(shown: Orientation | None) -> bool:
    """True where the chest wall lies at the upper or lower edge."""
    return shown is not None and shown[1][0] in "AP" and shown[0][0] not in "AP"


def upside_down(shown: Orientation | None, view: View | None, side: Laterality | None) -> bool:
    """True where the columns lead outwards in a CC of a known breast, or to the head (or outwards) in an MLO.

    Of an oblique direction the letters count that tell: of a CC's those to the sides, of an MLO's head and foot first.
    False where they tell nothing, or the rows do not lead along A or P.
    """
    if shown is None or wall_by(shown) is None or view not in (View.CC, View.MLO):
        return False
    told = set(shown[1])
    if view is View.MLO and len(told & set("HF")) == 1:
        return "H" in told
    return side is not None and told & set("LR") == {side.value}


def breast_by(shown: Orientation | None, view: View | None) -> Laterality | None:
    """The breast that an orientation belongs to, where it tells.

    The plane of an MLO runs from above and outside to below and inside, so its columns lead to the foot and away from
    the breast's side, or back. A CC tells by the hanging alone: A\\R is the left breast's, P\\L the right one's, unless
    the picture was turned by half.
    """
    if shown is None or view is None:
        return None
    rows, columns = shown
    if view is View.CC:
        return {("A", "R"): Laterality.LEFT, ("P", "L"): Laterality.RIGHT}.get((rows, columns))
    if view is View.MLO and len(columns) == 2 and set(columns) & set("FH"):
        inwards = (set(columns) - set("FH")) & set("LR")
        if len(inwards) != 1:
            return None
        away = Laterality(inwards.pop())
        return away.contralateral if "F" in columns else away
    return None


def usual_wall(side: Laterality | None) -> Edge | None:
    """Where the breast's chest wall lies in a picture that hangs as usual."""
    return None if side is None else "left" if side is Laterality.LEFT else "right"
