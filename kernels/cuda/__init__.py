"""Kernels for NVIDIA GPUs, in CuPy and Numba-CUDA: the same names and signatures as `reference`.

`probe` says whether there is a GPU and what is missing, `backend` is the array module and the current stream, `launch`
compiles and launches. Nothing here is imported before a tensor is put on a GPU.

With NUMBA_ENABLE_CUDASIM=1 Numba's simulator runs the kernels in Python, and `stand_in` (NumPy) takes CuPy's place: the
whole way of a tensor on a GPU, on any machine, slowly.
"""
