"""The protocol text that Siemens scanners hide in their private CSA series header.

Layout of the header: nipy.org/nibabel/dicom/siemens_csa.html, type CSA2. Names and units of the protocol text: those
of rordenlab/dcm2niix pull request 1031. Times are in microseconds. The excitation time is nowhere in it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bids_t1_phantom.sequences.mp2rage import ReadoutScan
    from bids_t1_phantom.sequences.transmit_field import FieldScan

_PARTIAL_FOURIER = {0.5: 0x1, 0.625: 0x2, 0.75: 0x4, 0.875: 0x8, 1.0: 0x10}
_OFF = 0x10


def series_header(protocol: str) -> bytes:
    """Return the value of (0029,1020): one element, MrPhoenixProtocol with this text, in the CSA2 layout."""
    text = protocol.encode("latin-1") + b"\0"
    size = len(text)
    element = struct.pack("<64si4siii", b"MrPhoenixProtocol", 1, b"UN\0\0", 0, 1, 77)
    item = struct.pack("<4i", size, size, 77, size) + text + b"\0" * (-size % 4)
    return b"SV10\4\3\2\1" + struct.pack("<2I", 1, 77) + element + item


def trains_protocol(scan: ReadoutScan) -> str:
    """Return the protocol of gradient-echo trains after one inversion."""
    protocol = scan.sequence.protocol
    partial_fourier = _PARTIAL_FOURIER[protocol.slice_partial_fourier]
    values: dict[str, object] = {
        "tSequenceFileName": '""%SiemensSeq%\\tfl""',
        "tProtocolName": f'""{scan.sequence.protocol_name}""',
        "alTR[0]": round(protocol.cycle_time * 1e6),
        **{f"alTI[{index}]": round(time * 1e6) for index, time in enumerate(protocol.inversion_times)},
        "alTE[0]": round(protocol.echo_time * 1e6),
        **{f"adFlipAngleDegree[{index}]": angle for index, angle in enumerate(protocol.flip_angles)},
        "lContrasts": 1,
        "lInvContrasts": len(protocol.inversion_times),
        "sKSpace.lPartitions": protocol.n_partitions,
        "sKSpace.lImagesPerSlab": protocol.n_partitions,
        "sKSpace.ucPhasePartialFourier": f"0x{_OFF:x}",
        "sKSpace.ucSlicePartialFourier": f"0x{partial_fourier:x}",
        "sFastImaging.lTurboFactor": protocol.n_before + protocol.n_after,
        # The same in every protocol seen, so nothing follows from it: rordenlab/dcm2niix#127.
        "sFastImaging.lEchoTrainDuration": 700,
    }
    return as_text(values)


def saturation_map(scan: FieldScan) -> str:
    """Return the protocol of a map of turbo-FLASH."""
    return as_text({"tSequenceFileName": f'""%SiemensSeq%\\{scan.protocol.called}""', "tProtocolName": '""B1map""'})


def alternating_times(scan: FieldScan) -> str:
    """Return the protocol of actual flip-angle imaging: its repetition times."""
    times = (image.metadata["RepetitionTimeExcitation"] for image in scan.protocol.images)
    return as_text({f"alTR[{index}]": round(time * 1e6) for index, time in enumerate(times) if isinstance(time, float)})


def as_text(values: Mapping[str, object]) -> str:
    """Return a protocol as the scanner notes it, between ``ASCCONV BEGIN`` and ``ASCCONV END``."""
    lines = "\n".join(f"{key}\t = \t{value}" for key, value in values.items())
    return f"<XProtocol> \n{{\n}}\n### ASCCONV BEGIN ###\n{lines}\n### ASCCONV END ###"
