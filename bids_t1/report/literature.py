"""Published T1 of the brain, to see whether a histogram is plausible, and the works the page cites."""

from __future__ import annotations

from dataclasses import dataclass, field

FIELD_TOLERANCE = 0.2
"""Field strengths this close share their reference values: '3 T' scanners run at 2.89 to 3.0 T [T]."""


@dataclass(frozen=True, slots=True)
class Work:
    """One entry of the list of references."""

    authors: str
    title: str
    source: str
    doi: str


BARRAL = Work(
    "Barral JK, Gudmundson E, Stikov N, Etezadi-Amoli M, Stoica P, Nishimura DG",
    "A robust methodology for in vivo T1 mapping",
    "Magnetic Resonance in Medicine 64:1057-1067 (2010)",
    "10.1002/mrm.22497",
)
GOLUB = Work(
    "Golub GH, Pereyra V",
    "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate",
    "SIAM Journal on Numerical Analysis 10:413-432 (1973)",
    "10.1137/0710036",
)
KAUFMAN = Work(
    "Kaufman L",
    "A variable projection method for solving separable nonlinear least squares problems",
    "BIT Numerical Mathematics 15:49-57 (1975)",
    "10.1007/BF01932995",
)
GUDBJARTSSON = Work(
    "Gudbjartsson H, Patz S",
    "The Rician distribution of noisy MRI data",
    "Magnetic Resonance in Medicine 34:910-914 (1995)",
    "10.1002/mrm.1910340618",
)
VARADHAN = Work(
    "Varadhan D, Haldar JP",
    "A majorize-minimize framework for Rician and non-central chi MR images",
    "IEEE Transactions on Medical Imaging 34:2191-2202 (2015)",
    "10.1109/TMI.2015.2427157",
)
FUDERER = Work(
    "Fuderer M, Wichtmann B, Crameri F, de Souza NM, Baeßler B, and others",
    "Color-map recommendation for MR relaxometry maps",
    "Magnetic Resonance in Medicine 93:490-506 (2025; online 2024)",
    "10.1002/mrm.30290",
)
DCM2NIIX = Work(
    "Li X, Morgan PS, Ashburner J, Smith J, Rorden C",
    "The first step for neuroimaging data analysis: DICOM to NIfTI conversion",
    "Journal of Neuroscience Methods 264:47-56 (2016)",
    "10.1016/j.jneumeth.2016.03.001",
)
BIDS = Work(
    "Gorgolewski KJ, Auer T, Calhoun VD, and others",
    "The brain imaging data structure, a format for organizing and describing outputs of neuroimaging experiments",
    "Scientific Data 3:160044 (2016)",
    "10.1038/sdata.2016.44",
)
QMRI_BIDS = Work(
    "Karakuzu A, Appelhoff S, Auer T, and others",
    "qMRI-BIDS: An extension to the brain imaging data structure for quantitative magnetic resonance imaging data",
    "Scientific Data 9:517 (2022)",
    "10.1038/s41597-022-01571-4",
)
WRIGHT = Work(
    "Wright PJ, Mougin OE, Totman JJ, and others",
    "Water proton T1 measurements in brain tissue at 7, 3, and 1.5T using IR-EPI, IR-TSE, and MPRAGE: "
    "results and optimization",
    "Magnetic Resonance Materials in Physics, Biology and Medicine 21:121-130 (2008)",
    "10.1007/s10334-008-0104-8",
)
MARQUES = Work(
    "Marques JP, Kober T, Krueger G, van der Zwaag W, Van de Moortele PF, Gruetter R",
    "MP2RAGE, a self bias-field corrected sequence for improved segmentation and T1-mapping at high field",
    "NeuroImage 49:1271-1281 (2010)",
    "10.1016/j.neuroimage.2009.10.002",
)
OBRIEN = Work(
    "O'Brien KR, Kober T, Hagmann P, Maeder P, Marques J, Lazeyras F, Krueger G, Roche A",
    "Robust T1-weighted structural brain imaging and morphometry at 7T using MP2RAGE",
    "PLoS ONE 9:e99676 (2014)",
    "10.1371/journal.pone.0099676",
)
SAUNDERS = Work(
    "Saunders AM, and others",
    "Comparison and calibration of MP2RAGE quantitative T1 values to multi-TI inversion recovery T1 values",
    "Magnetic Resonance Imaging 117:110322 (2025)",
    "10.1016/j.mri.2025.110322",
)
OLSSON = Work(
    "Olsson H, Opheim JO, Andersen M, and others",
    "Inversion efficiency model yields improved accuracy in MP2RAGE-based T1-mapping in the human brain at 7.0T",
    "NMR in Biomedicine 38(7) (2025)",
    "10.1002/nbm.70067",
)
YARNYKH = Work(
    "Yarnykh VL",
    "Actual flip-angle imaging in the pulsed steady state: a method for rapid three-dimensional mapping of the "
    "transmitted radiofrequency field",
    "Magnetic Resonance in Medicine 57:192-200 (2007)",
    "10.1002/mrm.21120",
)
INSKO = Work(
    "Insko EK, Bolinger L",
    "Mapping of the radiofrequency field",
    "Journal of Magnetic Resonance, Series A 103:82-85 (1993)",
    "10.1006/jmra.1993.1133",
)
CHUNG = Work(
    "Chung S, Kim D, Breton E, Axel L",
    "Rapid B1+ mapping using a preconditioning RF pulse with TurboFLASH readout",
    "Magnetic Resonance in Medicine 64:439-446 (2010)",
    "10.1002/mrm.22423",
)
EGGENSCHWILER = Work(
    "Eggenschwiler F, Kober T, Magill AW, Gruetter R, Marques JP",
    "SA2RAGE: a new sequence for fast B1+-mapping",
    "Magnetic Resonance in Medicine 67:1609-1619 (2012)",
    "10.1002/mrm.23145",
)
JIRU = Work(
    "Jiru F, Klose U",
    "Fast 3D radiofrequency field mapping using echo-planar imaging",
    "Magnetic Resonance in Medicine 56:1375-1379 (2006)",
    "10.1002/mrm.21083",
)
LUTTI = Work(
    "Lutti A, Hutton C, Finsterbusch J, Helms G, Weiskopf N",
    "Optimization and validation of methods for mapping of the radiofrequency transmit field at 3T",
    "Magnetic Resonance in Medicine 64:229-238 (2010)",
    "10.1002/mrm.22421",
)
FERNANDEZ_SEARA = Work(
    "Fernandez-Seara MA, Wehrli FW",
    "Postprocessing technique to correct for background gradients in image-based R2* measurements",
    "Magnetic Resonance in Medicine 44:358-366 (2000)",
    "10.1002/1522-2594(200009)44:3<358::AID-MRM3>3.0.CO;2-I",
)


@dataclass(slots=True)
class References:
    """The list of references as it grows with the text."""

    works: list[Work] = field(default_factory=list)

    def cite(self, *works: Work) -> str:
        """Return the numbers of works in the list, such as '[1, 2]'; new ones are added."""
        for work in works:
            if work not in self.works:
                self.works.append(work)
        return f"[{', '.join(str(self.works.index(work) + 1) for work in works)}]"


@dataclass(frozen=True, slots=True)
class ReferenceBand:
    """Mean and standard deviation between participants of the T1 of a tissue [s]."""

    tissue: str
    mean: float
    sd: float


_WRIGHT_2008 = {
    1.5: (ReferenceBand("white matter", 0.646, 0.032), ReferenceBand("grey matter", 1.197, 0.134)),
    3.0: (ReferenceBand("white matter", 0.838, 0.050), ReferenceBand("grey matter", 1.607, 0.112)),
    7.0: (ReferenceBand("white matter", 1.126, 0.097), ReferenceBand("grey matter", 1.939, 0.149)),
}
"""Four participants, MPRAGE-based, by field strength [T]: the abstract of doi 10.1007/s10334-008-0104-8."""


def reference_bands(field_strength: object) -> tuple[ReferenceBand, ...]:
    """Return the T1 of white and grey matter at a field strength [T]; nothing where it is unknown."""
    if isinstance(field_strength, int | float):
        for tesla, bands in _WRIGHT_2008.items():
            if abs(tesla - field_strength) <= FIELD_TOLERANCE:
                return bands
    return ()
