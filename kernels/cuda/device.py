"""Functions that kernels call on the GPU."""

from __future__ import annotations

import math

import numpy as np
from numba import cuda

from .backend import SIMULATED

# Python's math raises where a GPU gives inf, so the simulator takes NumPy's; on the GPU math keeps float32, and NumPy's
# functions would not.
if SIMULATED:
    exp_of, expm1_of, log_of, log1p_of, sqrt_of, abs_of = np.exp, np.expm1, np.log, np.log1p, np.sqrt, np.abs
else:

    @cuda.jit(device=True)
    def exp_of(x):
        """e ** x"""
        return math.exp(x)

    @cuda.jit(device=True)
    def expm1_of(x):
        """e ** x - 1"""
        return math.expm1(x)

    @cuda.jit(device=True)
    def log1p_of(x):
        """ln(1 + x)"""
        return math.log1p(x)

    @cuda.jit(device=True)
    def log_of(x):
        """ln x"""
        return math.log(x)

    @cuda.jit(device=True)
    def sqrt_of(x):
        """The square root of x"""
        return math.sqrt(x)

    @cuda.jit(device=True)
    def abs_of(x):
        """|x|"""
        return math.fabs(x)
