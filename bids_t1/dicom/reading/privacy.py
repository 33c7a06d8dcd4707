"""What may leave of a header's text: words of the field, never the patient's name."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from bids_t1.data.vocabulary import known_manufacturer, known_model, known_version, known_words, plain_letters, words

if TYPE_CHECKING:
    from bids_t1.dicom.header import Header

_PERSONAL = (
    "PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName",
    "AccessionNumber", "ReferringPhysicianName", "PerformingPhysicianName", "PhysiciansOfRecord", "OperatorsName",
    "RequestingPhysician", "NameOfPhysiciansReadingStudy", "StudyID", "ResponsiblePerson",
)  # fmt: skip
"""Attributes whose words are dropped even where they are words of the field: a patient may be called Head."""

_SHORTEST = 2
"""Single letters name nobody, and are units."""

CODED = frozenset({
    "ImageType", "FrameType", "Modality", "BodyPartExamined", "BodyPart", "ScanOptions", "ScanningSequence",
    "SequenceVariant", "ComplexImageComponent", "AcquisitionContrast", "VolumetricProperties", "PatientPosition",
    "VolumeBasedCalculationTechnique", "AnatomicalOrientationType", "MRAcquisitionType", "PhotometricInterpretation",
})  # fmt: skip
"""Fields that hold codes of the standard or of a vendor."""

CODES = words(
    """
    2d 3d acc addition add anatomical ave axial b0 biped both boundary brainstem breathhold catheterless centric
    cg clipped color column col combined correction csa csf ct ctl curved decub dependent derived dir dis dis2d
    dis3d distorted dl dr dwm edr ep epis ex fc fd ffdl ffdr ffe ffp ffs fil filtered flow fm freq fs fsa full
    gated gems gr hfdl hfdr hfp hfs hsl i ice icc integral interpolated ir lbl line linear localizer m magnitude
    mask maximum mean mfsplit minimum min max mip mixed mminv monochrome mosaic motion mp mpr mr mpg mtc nc nd
    no none nonparallel norm nw off oo original osp other p palette partial pc pca per perfusion pff pfp pfs
    phase ppg pfi physio primary projection proton quadruped quantity r radial random ramp rc rd real recon
    reordered resampled resonance reverse rg rgb rm row sat sat1 sat2 se secondary seg sfs sg si single sk
    smooth sn sp spectroscopy spin spir sp ss stable std stir subtraction sw swi ti time tone trace tracew trss
    unaliased unspecified vb velocity volume wb we wh ybr yes zip
    """
)
"""What they hold, beside the words of the field; letters and words of the standard, of two letters mostly."""

_COILS = words(
    """
    array bc birdcage bo coil hc he hea hep hns hrbrain knee matrix n nc ne nh nl nova ped q rx sn sp surface tx
    volume
    """
)
"""Parts of names of coils."""

_SAID_BY_DCM2NIIX = words(
    """
    a able above adjusting all and appear appears are as ascending assuming b be because been bit bits block
    bogus by bytes can cannot center check chris comments compress compressed compression conversion convert
    converted converting coordinate core corrupt could data dcm2niix dcmdjpeg dcmconv decode decoded decoding
    decompress detected determine developmental dicom dicoms differ different dimension dimensions direction
    disk distance distances divisible does duplicate duplicates enhanced error estimate estimated expected
    experimental export exported fail failed file files find flipped folder for format found fragments frame
    frames from full gantry gdcmconv ge guessing has have header header identical if ignored ignoring in
    incompatible inconsistent information inspect instance intensity intercept interslice into invalid is issue
    it jpeg large lossless loss manufacturer may message mirrored missing mosaic mosaics must negative nifti no
    not note number observed of offset on one only open option or order ordered orientation output overwritten
    patient perhaps philips pigz pixel please position positions possible problem produce protocol ramdon range
    ranges read removed repeated report reported reporting required rescaling results rle saved saving scaled
    scale scaling seconds sequential should siemens since size skipped skipping slope slopes small software
    sorted spatial spatially starts stored suggests supported syntax system tag tags tilt time times timing
    tools than that the them then there these they thickness this tic to transfer uint16 unable uncompressed
    unexpected unknown unsupported untested update use user using valid values varies vary vector vendor version
    volumes warning was were will write writing x64 you your
    """
)
"""Words of its own messages."""


def personal_words(header: Header) -> frozenset[str]:
    """Return the words of a header that name a person or an examination, in plain letters."""
    return _words_of(tuple(header.text(key) for key in _PERSONAL))


@lru_cache(maxsize=1)
def _words_of(texts: tuple[str, ...]) -> frozenset[str]:
    """Return the words of texts in plain letters; file after file says the same."""
    found = {
        word
        for text in texts
        for spelling in (text, text.casefold())
        for word in re.split(r"[\W_]+", plain_letters(spelling))
    }
    return frozenset(word for word in found if len(word) >= _SHORTEST)


@lru_cache(maxsize=256)
def known_text(field: str, text: str, never: frozenset[str]) -> str:
    """Return what may leave of a text.

    Parameters
    ----------
    field
        Keyword of the DICOM attribute, or its name in a sidecar.
    text
        One value of it.
    never
        The patient's words, which are dropped wherever an operator may have typed them.
    """
    if field == "Manufacturer":
        return known_manufacturer(text) or ""
    if field in {"ManufacturerModelName", "ManufacturersModelName"}:
        return known_model(text, never=never)
    if field == "SoftwareVersions":
        return known_version(text, never=never)
    if field in CODED:
        return known_words(text, also=CODES)
    return known_words(text, also=_COILS if "Coil" in field else frozenset(), never=never)


def said_by_dcm2niix(text: str, never: frozenset[str]) -> str:
    """Return what dcm2niix printed, in its own words and those of the field."""
    return "\n".join(
        filter(None, (known_words(line, also=_SAID_BY_DCM2NIIX, never=never) for line in text.splitlines()))
    )
