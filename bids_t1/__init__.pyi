from bids_t1.arrays import fit_inversion_recovery as fit_inversion_recovery
from bids_t1.arrays import fit_mp2rage as fit_mp2rage
from bids_t1.arrays import fit_sir as fit_sir
from bids_t1.arrays import fit_t2star as fit_t2star
from bids_t1.arrays import fit_vfa as fit_vfa

__version__: str
