"""How far results may lie from float64 arithmetic, by dtype: the same for all devices.

A comparison asks for |result - expected| <= tolerance * (1 + |expected|), which NumPy writes as rtol = atol.
"""

import numpy as np

VALUES = {np.dtype(np.float16): 2e-3, np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-11}
GRADIENTS = {np.dtype(np.float16): 1e-2, np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-10}
TF32 = 2e-3  # products of float32 on tensor cores, 10 bits of mantissa


def close(result, expected, dtype=None, table=VALUES, err_msg=""):
    """Assert that `result` is `expected` (of float64) within the tolerance of its dtype."""
    tolerance = table[np.dtype(dtype or result.dtype)]
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance, err_msg=err_msg)
