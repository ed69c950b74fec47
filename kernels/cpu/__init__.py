"""Kernels for the CPU, compiled by Numba: float32 and float64, the same names and signatures as `reference`.

What NumPy already does at the speed of memory is taken over from `reference` by name.
"""
