"""The decorator that the kernels are compiled with.

They run without the interpreter's lock and are cached beside their modules, or in
NUMBA_CACHE_DIR. Numba's counting of references is left out (`_nrt`), which halves the time of
kernels that pass arrays in tuples; in return they may not allocate, and numba refuses them if they
do.
"""

import numba
import numpy as np

NONE_YET = np.int64(0)
"""Where a counter begins that is passed on: `int(NONE_YET)`. A plain 0 is a type of its own to
numba, which would compile the callee for it too, at a fifth of a second each."""

compiled = numba.njit(cache=True, nogil=True, _nrt=False)
