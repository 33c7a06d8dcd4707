"""Words of the field: the only ones of a header's free text that may leave.

Operators type what they like into descriptions: names in any spelling and alphabet, dates of birth, telephone numbers.
No list of secrets can know them all, least of all where the name itself was made anonymous and the description was
not. So the question is turned round: a word leaves if it is known here, and any other is dropped. A new sequence or a
new scanner is a new word in these lists. Words that are common names as well (bravo, dam, dixon, long, low, norm, pat,
post, shim, short, star, tim, ute) are left out on purpose.
"""

from __future__ import annotations

import re
import unicodedata

LOOK_LOCKER = re.compile(
    r"molli|look[\W_]*locker|tfi2d1|(?<![a-z])(ll|lltfe|llepi|sasha|tapir)(?![a-z])", re.IGNORECASE
)
"""What operators and vendors call sequences with several readouts after one inversion."""


def words(text: str) -> frozenset[str]:
    """Return the words of a list."""
    return frozenset(text.split())


SEQUENCES = words(
    """
    adc afi asl bffe blade bold bssfp cest cube dess dream dti dwi ep epfid epi epse fastir fatsat ffe fiesta
    fisp fl flair flash fcmri fmri fse fspgr gr grase gre haste ir irepi irfse irse irtse lava ll lltfe
    looklocker magic medic megre memprage molli mprage mpm mra mri mt mtr mtsat pasl pcasl pdw psir qmri qsm
    rage sasha se seir sefse shmolli shflash silent spair spc spgr spir spoiled ssfp ssfse stir swan swi swip
    tapir tfe tfi tfl tir tirm tof trufi truefisp tse vibe vista zte
    """
)
"""Sequences and the stems of their names."""

CONTRASTS = words(
    """
    b0map b1map combined complex corrected correction den denoised density derived difference eff efficiency
    equilibrium field fieldmap fieldmapping flip filter filtered fitted imag imaginary image images inv
    inversion inverted mag magn magnetisation magnetization magnitude map mapping maps mean mip minip pha phase
    phases phs product proton qt quantitative ratio raw real recovery reconstructed ref reference relaxation
    relaxometry rescaled saturation signal sum synthetic transfer transmit uni uniform weighted weighting
    """
)
"""What an image shows."""

GEOMETRY = words(
    """
    ap ax axial axis cor coronal fh fov hf highres hires iso isotropic lowres lr matrix obl oblique pa plane
    planes res resolution rl sag sagittal slab slice slices thick tra trans transversal transverse voxel
    """
)
"""Orientation, extent and resolution."""

BODY = words(
    """
    abdomen body brain breast cardiac cspine extremity head heart hippocampus ismrm knee liver neck nist pelvis
    phantom phantoms plate prostate shoulder skull sphere spinal spine thorax water whole wholebrain wrist
    """
)
"""What lies in the scanner."""

PROTOCOL = words(
    """
    aahead aahscout accelerated acq acquisition adjusted angle angles asset auto autoalign average averages
    caipi caipirinha calib calibration ce compressed contrast cs default double dual dummy echo echoes fast fat
    first fs gd gradient grappa interleaved iterations loc localiser localizer moco multi multiecho multislice
    nd noise nonselective ns opt optimised optimized parallel part partial pilot postcontrast pre precontrast
    prep prepared prescan protocol pulse readout rec recon reconstruction rep repeat repetition repetitions rr
    rf run sat scan scout second segmented sel selective sense sequence sequential series setup shot shots
    single smash sms spin standard state steady survey test turbo variable vfa wip with without zoom
    """
)
"""How it was measured."""

QUANTITIES = words(
    """
    bw fa flip fov inv te ti tr
    """
)
"""What has a number of up to four digits after it, in the same word or the next."""

ORDINALS = words(
    """
    acq echo part rep run
    """
)
"""What has a number of up to two digits after it."""

UNITS = words(
    """
    ch channel channels deg degree degrees hz iso khz mhz mm min ms s sec slices t um us
    """
)
"""What has a number of up to four digits before it."""

WORDS = SEQUENCES | CONTRASTS | GEOMETRY | BODY | PROTOCOL | QUANTITIES
"""Words that may carry a number of two digits as well, which is neither a year nor a telephone number."""

_MARKS = (
    r"(?:[23]d|(?:mp[23]n?rage|sa2rage|irt1|t[12](?:star|rho|w|map)?|tb1(?:tfl|afi|dam|epi)?|b[01]|r[12]s?|p[234]|"
    r"dis[23]d)(?![0-9]))"
)
"""Words of which digits are a part."""

_TOKEN = re.compile(r"[^\W_](?:[^\W_]|(?<=[0-9])[.,](?=[0-9]))*")
_PIECE = re.compile(rf"(?i:{_MARKS})|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+(?:\.[0-9]+)?")
_MARK = re.compile(_MARKS, re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,3})?")
_SHORT_NUMBER = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,3})?")
_RANK = re.compile(r"[0-9]{1,2}")
_SIZES = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3})?(?:x[0-9]{1,3}(?:\.[0-9]{1,3})?){1,2}(?:mm)?", re.IGNORECASE)
_SEPARATOR = re.compile(r"[ _.,:;/+*()=%|<>-]{1,3}")


def plain_letters(text: str) -> str:
    """Return a text in lower case and without accents, to compare words by."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def known_words(text: str, *, also: frozenset[str] = frozenset(), never: frozenset[str] = frozenset()) -> str:
    """Keep the words of a text that belong to the field, and the numbers that belong to them.

    ``t1_mp2rage_sag_p3 TI 350 ms`` stays as it is; of ``Weber^Eva t1 22.11.1939`` there stays ``t1``.

    Parameters
    ----------
    text
        What somebody typed, in any alphabet.
    also
        Further words that this text may hold, in lower case.
    never
        Words that are dropped though they are known, such as the patient's name, as of `plain_letters`.
    """
    found = list(_TOKEN.finditer(text))
    words = [_compared(match.group(), never) for match in found]
    ends = [0, *(match.end() for match in found)]
    kept = ""
    for match, end, near in zip(found, ends, zip(["", *words], words, [*words[1:], ""], strict=False), strict=False):
        if not _stays(match.group(), near, also, never):
            continue
        between = text[end : match.start()]
        separator = between if _SEPARATOR.fullmatch(between) else " "
        kept += (separator if kept or separator == "*" else "") + match.group()
    return kept


def _compared(token: str, never: frozenset[str]) -> str:
    """Return a word as it is looked up; nothing where it is dropped in any case."""
    return token.lower() if token.isascii() and token.lower() not in never else ""


def _stays(token: str, near: tuple[str, str, str], also: frozenset[str], never: frozenset[str]) -> bool:
    """Tell whether a word stays, given the one before it, itself and the one after it as they are looked up."""
    before, word, after = near
    if not word:
        return False
    if word[0].isdigit() and _NUMBER.fullmatch(word):
        return _counts(word, before, after)
    measured = word in UNITS and _NUMBER.fullmatch(before)
    return bool(measured) or word in WORDS | also or bool(_SIZES.fullmatch(word)) or _is_known(token, also, never)


def _counts(number: str, before: str, after: str) -> bool:
    """Tell whether a number belongs to the words around it."""
    ranked = before in ORDINALS and _RANK.fullmatch(number) is not None
    return ranked or before in QUANTITIES or after in UNITS


def _is_known(token: str, also: frozenset[str], never: frozenset[str]) -> bool:
    """Tell whether a word consists of known ones and short numbers, such as tfl3d1, TI350ms, T1Map."""
    pieces = [piece.lower() for piece in _PIECE.findall(token)]
    if "".join(pieces) != token.lower() or never.intersection(pieces):
        return False
    named = any(_MARK.fullmatch(piece) or not piece[0].isdigit() for piece in pieces)
    neighbours = zip(["", *pieces], pieces, [*pieces[1:], ""], strict=False)
    return named and all(_fits(piece, before, after, also) for before, piece, after in neighbours)


def _fits(piece: str, before: str, after: str, also: frozenset[str]) -> bool:
    """Tell whether a piece of a word may stand between two others."""
    if _MARK.fullmatch(piece):
        return True
    if piece[0].isdigit():
        long = before in QUANTITIES or after in UNITS
        return (_NUMBER if long else _SHORT_NUMBER).fullmatch(piece) is not None
    return piece in WORDS or piece in also or (piece in UNITS and before[:1].isdigit())


_MANUFACTURERS = {
    "siemens": "Siemens", "philips": "Philips", "ge": "GE", "general electric": "GE", "uih": "UIH",
    "united imaging": "UIH", "shanghai united imaging": "UIH", "canon": "Canon", "toshiba": "Toshiba",
    "hitachi": "Hitachi", "fujifilm": "Fujifilm", "bruker": "Bruker", "hyperfine": "Hyperfine", "esaote": "Esaote",
    "agilent": "Agilent", "mediso": "Mediso", "bids_t1": "bids_t1",
}  # fmt: skip
"""Makers of scanners, by the words that their names begin with; the last one is the phantom of this program."""


def known_manufacturer(text: str | None) -> str | None:
    """Return the maker of a scanner by its usual name, or None where it is not one of the known."""
    said = f"{text or ''} ".lower()
    return next((name for begin, name in _MANUFACTURERS.items() if re.match(rf"{begin}\b", said)), None)


MODELS = words(
    """
    achieva aera allegra altea ambition aperto architect artist avanto biograph biospec biospin brivo centauri
    cima.x creator discovery dstream echelon elition espree essenza evolution excite explorer free.max free.star
    galan genesis gyroscan hd hdx hdxt healthcare horizon impact infinion ingenia intera investigational device
    lumina lx magnetom mmr mr mr360 mr450 mr450w mr750 mr750w mr950 oasis omega onyx optima orian oval panorama
    phantom philips pioneer plus premier prisma prismafit quasar saturn siemens signa skyra skyrafit sola sonata
    spectra supernova swoop symphony symphonytim terra titan trio triotim ultra umr vantage verio vida voyager
    """
)
"""Words that names of scanners consist of."""

_BESIDE_MODELS = words(
    """
    570 580 588 660 670 680 770 780 790 870 880 890 5300 7700 0.55t 1.5t 3t 3.0t 7t fit tim x xq xr xt w s
    """
)
"""What stands beside them."""


def known_model(text: str, *, never: frozenset[str] = frozenset()) -> str:
    """Keep what is known of a scanner's model, such as ``Prisma``, ``DISCOVERY MR750`` or ``Achieva dStream``."""
    parts = [word for word in re.split(r"[\s_]+", text) if word.lower() not in never]
    kept = [word for word in parts if word.lower() in MODELS | _BESIDE_MODELS]
    return " ".join(kept) if any(word.lower() in MODELS for word in kept) else ""


_VERSION = re.compile(
    r"(?:syngo|numaris|mr|lx|software|release|xa|va|vb|vd|ve|(?<=mr )[a-e][0-9]{2}[a-z]?|"
    r"(?:n|v|r|dv|mx|rx|sv|hd|pv|xa|va|vb|vd|ve)[0-9]{1,2}(?:\.[0-9]{1,2}){0,2}[a-z]?|[0-9]{1,2}(?:\.[0-9]){0,4})"
    r"(?![^\s_\\/:,;()\[\]'])",
    re.IGNORECASE,
)
"""Software of scanners: known words, a letter or two and two digits, or single digits between dots: no date fits."""

_START_OF_WORD = re.compile(r"(?<![^\s_\\/:,;()\[\]'])")


def known_version(text: str, *, never: frozenset[str] = frozenset()) -> str:
    """Keep what looks like the version of a scanner's software, such as ``syngo MR E11`` or ``5.7.1``."""
    starts = [match.start() for match in _START_OF_WORD.finditer(text)]
    parts = [match.group() for start in starts if (match := _VERSION.match(text, start)) is not None]
    kept = [word for word in parts if word.lower() not in never]
    return " ".join(kept) if any(letter.isdigit() for word in kept for letter in word) else ""
