"""Every kernel in plain NumPy, written to be read. The oracle of the tests."""

import numpy as np

# Decorates a kernel that may divide by zero or overflow: inf and NaN are results here, not worth a warning.
silent = np.errstate(all="ignore")
