"""How other libraries get at a tensor's memory: NumPy's, DLPack's and CUDA's ways."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._device import CPU
from .._tensor import Tensor


def array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """For `numpy.asarray`: the memory of a tensor on the CPU, converted if need be."""
    found = self.numpy()
    if copy is False and dtype is not None and np.dtype(dtype) != found.dtype:
        raise ValueError(f"cannot turn {self.dtype} into {np.dtype(dtype)} without a copy")
    if copy or (dtype is not None and np.dtype(dtype) != found.dtype):
        return found.astype(dtype or found.dtype)
    return found


def dlpack(self: Tensor, **options: Any) -> Any:
    """The memory as a DLPack capsule, for other libraries; see `numpy.ndarray.__dlpack__`.

    Raises:
        BufferError: if the tensor requires grad.
    """
    if self.requires_grad:
        raise BufferError("__dlpack__: the tensor requires grad; export tensor.detach()")
    self._counter().export()  # the memory is shared from now on
    return self.array.__dlpack__(**options)


def dlpack_device(self: Tensor) -> tuple[int, int]:
    """DLPack's numbers for the device: (1, 0) for the CPU, (2, 0) for the first GPU."""
    return self.array.__dlpack_device__()


def cuda_array_interface(self: Tensor) -> dict[str, Any]:
    """Where the memory is on a GPU. Tensors on the CPU, or that require grad, have no such attribute."""
    if self.device is CPU or self.requires_grad:
        raise AttributeError(
            "__cuda_array_interface__: the tensor is on the CPU"
            if self.device is CPU
            else "__cuda_array_interface__: the tensor requires grad; export tensor.detach()"
        )
    self._counter().export()  # the memory is shared from now on
    return self.array.__cuda_array_interface__
