"""Why a picture is refused: stable codes, each with the next step. Tables list the code, messages end with the step."""

from __future__ import annotations

from pydicom.datadict import dictionary_description
from pydicom.tag import BaseTag, Tag

from disasymnet.errors import PictureError

_COPY = "Copy the file again from where it came; `dcmdump` shows where it breaks."
_SENDER = "Have its sender correct the tag, or leave the picture out."
_LENIENT = "Leave --strict out to read research data."

NEXT_STEP = {
    # The file
    "missing": "Check the path.",
    "unreadable": "Give a file that can be opened, not a folder or device.",
    "outside": "Copy the file into the folder, or give the folder that it lies in.",
    "hidden": "Leave it; if it is a picture, give it a name without the dot.",
    "not_a_picture": "Leave it; if it should be one, copy it again. DICOM, PGM, PNG, TIFF, WebP and JPEG are read.",
    "not_dicom": "Give a DICOM file with its 128 bytes of preamble and `DICM`; DICOMDIRs and archives are not opened.",
    "damaged": _COPY,
    # The limits
    "too_large": "No detector or film scanner for mammography makes so many pixels: check where the file comes from.",
    "header": "No mammogram needs such a header: check where the file comes from, or have it written again.",
    "nesting": "No mammogram nests its sequences so deeply: check where the file comes from.",
    "memory": "The picture needs more memory than a picture may take here: check where the file comes from.",
    "timeout": "Decoding took longer than a picture may take here: check where the file comes from.",
    "crash": "Its decoder died on it: the pixels are damaged, or made to harm. Copy the file again.",
    "unexpected": "Please report it, with the program's version and, if it may be shown, the file.",
    # What the file holds
    "directory": "Give the folder: the pictures are found without the DICOMDIR, whose entries are not followed.",
    "not_mammogram": "Give mammograms: SOP class Digital Mammography, or a digitised film as Secondary Capture.",
    "tomosynthesis": "Give the plain mammogram of the same view.",
    "synthetic": "Give the acquired mammogram of the same view; computed pictures are not compared with it.",
    "for_processing": "Use the For Presentation picture of the same exposure.",
    "contrast": "Give the low-energy pictures of both breasts, or plain mammograms.",
    "derived": "Give the picture as it was acquired.",
    "multi_frame": "Give plain mammograms: one frame a file.",
    "colour": "Give the grey picture, not a screen shot or an overlay.",
    "no_pixels": "Give the file with its pixels; a header alone cannot be compared.",
    "size": _SENDER,
    "depth": "Pixels of 2 to 16 bits in 8 or 16 are read: have the picture exported so.",
    "pixel_length": _COPY,
    "syntax": "No decoder is known for it: have the file written as Explicit VR Little Endian.",
    "stream": "Header and pixel stream contradict each other: have the file written again by its sender.",
    "grey_scale": _SENDER,
    "voi": "`disasymnet explain FILE` lists the windows and look-up tables of a file.",
    "constant": "Nothing can be seen in it: leave the picture out.",
    "no_breast": "Look at the picture (`disasymnet explain FILE --out DIR`): a breast is bright tissue at one edge.",
    "laterality_conflict": "Have the sender correct Laterality, ImageLaterality or the anatomic codes.",
    "view_conflict": "Have the sender correct ViewCodeSequence or ViewPosition.",
    "turned": "Have its sender turn the picture, the chest wall at its left or right edge, or correct the tag.",
    "same_file": "Give each breast a picture of its own: one picture was named, or copied, for both.",
    # What strict mode asks for
    "strict_film": f"Digitised film and Secondary Captures are research data. {_LENIENT}",
    "strict_raster": f"Only DICOM states what a picture shows. {_LENIENT}",
    "strict_side": f"Have the sender fill ImageLaterality (0020,0062) with R or L. {_LENIENT}",
    "strict_view": f"Have the sender fill ViewCodeSequence (0054,0220) or ViewPosition (0018,5101). {_LENIENT}",
    "strict_orientation": f"Have the sender turn the picture upright, or correct PatientOrientation. {_LENIENT}",
    "strict_wall": f"Look at the picture: one of ImageLaterality, PatientOrientation and pixels is wrong. {_LENIENT}",
}


def refusal(code: str, what: str, where: object = None, tag: BaseTag | int | str | None = None) -> PictureError:
    """The error for a code of the table above; `tag` as number or keyword."""
    place = None if tag is None else name_of(Tag(tag))
    return PictureError(what, where=where, hint=NEXT_STEP[code], code=code, tag=place)


def name_of(tag: BaseTag) -> str:
    """`(0028,0010) Rows`; the number alone where the dictionary has no name."""
    number = f"({tag.group:04X},{tag.element:04X})"
    try:
        return f"{number} {dictionary_description(tag)}"
    except KeyError:
        return number
