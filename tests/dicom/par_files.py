"""Small PAR/REC files of version 4.2, written line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SECRET = "Nightingale"  # noqa: S105 - a name, not a password
RESCALE_SLOPE, SCALE_SLOPE = 2.0, 0.5
"""Numbers are stored values over the scale slope, plus an intercept."""

GENERAL = """\
# === DATA DESCRIPTION FILE ======================================================
# CLINICAL TRYOUT             Research image export tool     V4.2
#
# === GENERAL INFORMATION ========================================================
#
.    Patient name                       :   {secret}
.    Examination name                   :   {secret}
.    Protocol name                      :   sir
.    Examination date/time              :   2024.01.02 / 10:11:12
.    Series Type                        :   Image   MRSERIES
.    Acquisition nr                     :   3
.    Reconstruction nr                  :   1
.    Scan Duration [sec]                :   300
.    Max. number of cardiac phases      :   1
.    Max. number of echoes              :   1
.    Max. number of slices/locations    :   {n_slices}
.    Max. number of dynamics            :   {n_dynamics}
.    Max. number of mixes               :   1
.    Patient position                   :   Head First Supine
.    Preparation direction              :   Anterior-Posterior
.    Technique                          :   {technique}
.    Scan resolution  (x, y)            :   {x}  {y}
.    Scan mode                          :   MS
.    Repetition time [ms]               :   {repetition_time:.3f}
.    FOV (ap,fh,rl) [mm]                :   {y2}  {z2}  {x2}
.    Water Fat shift [pixels]           :   1.000
.    Angulation midslice(ap,fh,rl)[degr]:   0.000  0.000  0.000
.    Off Centre midslice(ap,fh,rl) [mm] :   0.000  0.000  0.000
.    Flow compensation <0=no 1=yes> ?   :   0
.    Presaturation     <0=no 1=yes> ?   :   0
.    Phase encoding velocity [cm/sec]   :   0.000000  0.000000  0.000000
.    MTC               <0=no 1=yes> ?   :   0
.    SPIR              <0=no 1=yes> ?   :   0
.    EPI factor        <0,1=no EPI>     :   1
.    Dynamic scan      <0=no 1=yes> ?   :   1
.    Diffusion         <0=no 1=yes> ?   :   0
.    Diffusion echo time [ms]           :   0.0000
.    Max. number of diffusion values    :   1
.    Max. number of gradient orients    :   1
.    Number of label types   <0=no ASL> :   0
#
# === IMAGE INFORMATION ==========================================================
#  sl ec  dyn ph ty    idx pix scan% rec size ...

"""
END = "\n# === END OF DATA DESCRIPTION FILE ===============================================\n"


def write_par(  # noqa: PLR0913 - what a scan may be
    path: Path,
    images: NDArray[np.float64],
    times: Sequence[float],
    *,
    kind: int = 0,
    technique: str = "TIR",
    repetition_time: float = 981.0,
) -> Path:
    """Write images (measurement, x, y, z) of some inversion delays [ms], one dynamic each; see `RESCALE_SLOPE`."""
    _, x, y, n_slices = images.shape
    general = GENERAL.format(
        secret=SECRET,
        n_slices=n_slices,
        n_dynamics=len(times),
        technique=technique,
        repetition_time=repetition_time,
        x=x,
        y=y,
        x2=2 * x,
        y2=2 * y,
        z2=3 * n_slices,
    )
    intercept = -1000.0 * RESCALE_SLOPE if kind else 0.0
    lines: list[str] = []
    slices = []
    for dynamic, (time, image) in enumerate(zip(times, images, strict=True), 1):
        for number in range(n_slices):
            stored = image[..., number] * SCALE_SLOPE - intercept / RESCALE_SLOPE
            slices.append(np.clip(np.round(stored), 0, 65535).astype("<u2"))
            lines.append(
                f"{number + 1} 1 {dynamic} 1 {kind} 2 {len(lines)} 16 100 {x} {y} {intercept} {RESCALE_SLOPE} "
                f"{SCALE_SLOPE} 1000 2000 0 0 0 0 0 0 3.0 0.0 0 1 0 2 2.0 2.0 10.0 0 0 0 1 90.0 0 0 0 20 {time} 1 1 "
                "7 0 0 0 0 1"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(general + "\n".join(lines) + END)
    with path.with_suffix(".REC").open("wb") as file:
        for piece in slices:
            file.write(piece.tobytes(order="F"))
    return path
