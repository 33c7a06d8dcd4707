"""The vocabulary of array shapes: measurements and coefficients first, voxels last and free.

A name here is a promise; tests/estimation/test_shapes.py checks them at run time.
"""

import numpy as np
from jaxtyping import Bool, Complex, Float, Int, UInt8
from torch import Tensor

Signals = Float[Tensor, "measurement voxel"]
"""Signed measurements of a list of voxels."""

Candidates = Float[Tensor, "candidate measurement voxel"]
"""The same measurements under several hypotheses of their signs."""

Rows = Float[Tensor, "voxel measurement"]
"""Measurements of one voxel after the other."""

Voxels = Float[Tensor, "voxel"]
VoxelIndex = Int[Tensor, "voxel"]
VoxelMask = Bool[Tensor, "voxel"]
CandidateGains = Float[Tensor, "candidate voxel"]
CandidateIndex = Int[Tensor, "candidate voxel"]

Times = Float[Tensor, "*time"]
"""Values of the nonlinear unknown [s]."""

Columns = Float[Tensor, "coefficient measurement *time"]
"""Columns of B, one per linear coefficient, at each value of the nonlinear unknown."""

SurfaceSlopes = Float[Tensor, "unknown coefficient measurement *time"]
"""Derivatives of the columns of B with respect to each of two nonlinear unknowns."""

TimeColumns = Float[Tensor, "measurement *time"]
"""One column of B at each value of the nonlinear unknown."""

Readouts = Float[Tensor, "readout *time"]
"""Signal of each readout relative to the amplitude, at each value of the nonlinear unknown."""

Nodes = Float[Tensor, "node"]
Planes = Float[Tensor, "plane node"]
"""A quantity at each transmit field and relaxation time of a table."""

Posteriors = Float[Tensor, "voxel node"]
"""Log density of each voxel at each relaxation time of a table."""

Statistics = Float[Tensor, "voxel statistic"]

Atoms = Float[Tensor, "atom"]
AtomRows = Float[Tensor, "atom measurement"]

Measurements = Float[np.ndarray, "measurement *voxels"] | Complex[np.ndarray, "measurement *voxels"]
"""Measured images of one run, on any voxel axes."""

Map = Float[np.ndarray, "*voxels"]
"""One value per voxel."""

Labels = UInt8[np.ndarray, "*voxels"]
"""One small code per voxel."""

VoxelFlags = Bool[np.ndarray, "*voxels"]
"""One yes or no per voxel."""

Affine = Float[np.ndarray, "4 4"]
"""Voxel indices to scanner coordinates [mm], right-anterior-superior."""
