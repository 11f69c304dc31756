"""The decorator that the kernels of this package are compiled with.

They run without the interpreter's lock and are cached beside their modules, or in
NUMBA_CACHE_DIR. Numba's counting of references is left out (`_nrt`), which halves the time of
kernels that pass arrays in tuples; in return they may not allocate, and numba refuses them if they
do.
"""

import numba

compiled = numba.njit(cache=True, nogil=True, _nrt=False)
