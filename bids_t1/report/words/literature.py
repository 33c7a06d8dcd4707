"""Published T1 of the brain, to see whether a histogram is plausible, and the works the page cites."""

from __future__ import annotations

from dataclasses import dataclass, field

from bids_t1.data.tissue import Tissue

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
RIOUX = Work(
    "Rioux JA, Levesque IR, Rutt BK",
    "Biexponential longitudinal relaxation in white matter: characterization and impact on T1 mapping with IR-FSE and "
    "MP2RAGE",
    "Magnetic Resonance in Medicine 75:2265-2277 (2016)",
    "10.1002/mrm.25729",
)
DORTCH = Work(
    "Dortch RD, Li K, Gochberg DF, Welch EB, Dula AN, Tamhane AA, Gore JC, Smith SA",
    "Quantitative magnetization transfer imaging of human brain at 3T using selective inversion recovery",
    "Magnetic Resonance in Medicine 66:1346-1352 (2011)",
    "10.1002/mrm.22928",
)
CRONIN = Work(
    "Cronin MJ, Xu J, Bagnato F, Gochberg DF, Gore JC, Dortch RD",
    "Rapid whole-brain quantitative magnetization transfer imaging using 3D selective inversion recovery sequences",
    "Magnetic Resonance Imaging 68:66-74 (2020)",
    "10.1016/j.mri.2020.01.014",
)
CONSTANTINIDES = Work(
    "Constantinides CD, Atalar E, McVeigh ER",
    "Signal-to-noise measurements in magnitude images from NMR phased arrays",
    "Magnetic Resonance in Medicine 38:852-857 (1997)",
    "10.1002/mrm.1910380524",
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
GUPTA = Work(
    "Gupta RK",
    "A new look at the method of variable nutation angle for the measurement of spin-lattice relaxation times using "
    "Fourier transform NMR",
    "Journal of Magnetic Resonance 25:231-235 (1977)",
    "10.1016/0022-2364(77)90138-X",
)
DEONI = Work(
    "Deoni SCL, Rutt BK, Peters TM",
    "Rapid combined T1 and T2 mapping using gradient recalled acquisition in the steady state",
    "Magnetic Resonance in Medicine 49:515-526 (2003)",
    "10.1002/mrm.10407",
)
PREIBISCH = Work(
    "Preibisch C, Deichmann R",
    "Influence of RF spoiling on the stability and accuracy of T1 mapping based on spoiled FLASH with varying flip "
    "angles",
    "Magnetic Resonance in Medicine 61:125-135 (2009)",
    "10.1002/mrm.21776",
)
WEIGEL = Work(
    "Weigel M",
    "Extended phase graphs: dephasing, RF pulses, and echoes - pure and simple",
    "Journal of Magnetic Resonance Imaging 41:266-295 (2015)",
    "10.1002/jmri.24619",
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

BOUDREAU = Work(
    "Boudreau M, Karakuzu A, Cohen-Adad J, and others",
    "Repeat it without me: Crowdsourcing the T1 mapping common ground via the ISMRM reproducibility challenge",
    "Magnetic Resonance in Medicine (2024)",
    "10.1002/mrm.30111",
)
CIRIC = Work(
    "Ciric R, Thompson WH, Lorenz R, and others",
    "TemplateFlow: FAIR-sharing of multi-scale, multi-species brain models",
    "Nature Methods 19:1568-1571 (2022)",
    "10.1038/s41592-022-01681-2",
)
FONOV = Work(
    "Fonov V, Evans AC, Botteron K, Almli CR, McKinstry RC, Collins DL",
    "Unbiased average age-appropriate atlases for pediatric studies",
    "NeuroImage 54:313-327 (2011)",
    "10.1016/j.neuroimage.2010.07.033",
)
MATTES = Work(
    "Mattes D, Haynor DR, Vesselle H, Lewellen TK, Eubank W",
    "PET-CT image registration in the chest using free-form deformations",
    "IEEE Transactions on Medical Imaging 22:120-128 (2003)",
    "10.1109/TMI.2003.809072",
)
LOWEKAMP = Work(
    "Lowekamp BC, Chen DT, Ibáñez L, Blezek D",
    "The design of SimpleITK",
    "Frontiers in Neuroinformatics 7:45 (2013)",
    "10.3389/fninf.2013.00045",
)
BLAND = Work(
    "Bland JM, Altman DG",
    "Statistical methods for assessing agreement between two methods of clinical measurement",
    "Lancet 327:307-310 (1986)",
    "10.1016/S0140-6736(86)90837-8",
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


_BY_INVERSION_RECOVERY = {
    Tissue.WHITE_MATTER: (
        ReferenceBand("genu", 0.828, 0.038),
        ReferenceBand("splenium", 0.852, 0.049),
    ),
    Tissue.GREY_MATTER: (ReferenceBand("cortical grey matter", 1.548, 0.157),),
    Tissue.SUBCORTICAL_GREY_MATTER: (ReferenceBand("deep grey matter", 1.188, 0.134),),
}
"""At 3 T, 56 data sets of several scanners: doi 10.1002/mrm.30111."""


BY_DOI = {work.doi: work for work in (YARNYKH, INSKO, CHUNG, EGGENSCHWILER, JIRU, LUTTI)}
"""Works that the table of measurements of the transmit field names."""

MEASURED_BY = {
    "10.1007/s10334-008-0104-8": "with MPRAGE in four people",
    "10.1002/mrm.30111": "by inversion recovery in 56 data sets, white matter in the corpus callosum",
}
"""How works measured what they publish, by DOI."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published T1 of a tissue, and where it stands."""

    work: Work
    source: str
    """How the work is named in a plot."""

    band: ReferenceBand


def published(field_strength: object) -> dict[Tissue, tuple[Published, ...]]:
    """Return the published T1 of each tissue at a field strength [T]; nothing where it is unknown."""
    wright = dict(zip((Tissue.WHITE_MATTER, Tissue.GREY_MATTER), reference_bands(field_strength), strict=False))
    found: dict[Tissue, tuple[Published, ...]] = {
        tissue: (Published(WRIGHT, "Wright 2008", band),) for tissue, band in wright.items()
    }
    if reference_bands(field_strength) != _WRIGHT_2008[3.0]:
        return found
    return {
        tissue: (*found.get(tissue, ()), *(Published(BOUDREAU, "Boudreau 2024", band) for band in bands))
        for tissue, bands in _BY_INVERSION_RECOVERY.items()
    }
