"""A new operation from outside the package: softsign, y = x / (1 + |x|), with Numba kernels of its own.

With NUMBA_ENABLE_CUDASIM=1 the kernel for GPUs runs too, in Numba's simulator, and on a GPU without it.

Three things make an operation: kernels in the table, a Function that says how gradients flow, and a check.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import cuda

import tinycnn
from tinycnn import Tensor, kernels
from tinycnn.autograd import Function
from tinycnn.testing import gradcheck, gradgradcheck


# 1. The kernels: arrays in, an array out. `reference` is plain NumPy; `cpu` and `cuda` are what runs there.
def softsign_reference(x: np.ndarray) -> np.ndarray:
    """x / (1 + |x|)"""
    return x / (1 + np.abs(x))


@numba.njit(cache=True)
def _softsign(x: np.ndarray, y: np.ndarray) -> None:
    for i in range(x.size):
        y[i] = x[i] / (1 + abs(x[i]))


def softsign_cpu(x: np.ndarray) -> np.ndarray:
    """The same in one pass. Any strides may arrive; the compiled loop wants a plain row of numbers."""
    y = np.empty(x.shape, x.dtype)
    _softsign(np.ascontiguousarray(x).reshape(-1), y.reshape(-1))
    return y


@cuda.jit
def _softsign_on_gpu(y: Any) -> None:
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = y[i] / (1 + abs(y[i]))


def softsign_cuda(x: Any) -> Any:
    """The same in place on a copy, which is CuPy's; 8 blocks of 4 threads are few, as the simulator is slow."""
    y = x.copy()
    if y.size:
        _softsign_on_gpu[8, 4](y.reshape(-1))
    return y


kernels.register("softsign", reference=softsign_reference, cpu=softsign_cpu, cuda=softsign_cuda)


# 2. The Function: forward asks the tensor's device for the kernel; backward is written in differentiable operations,
#    so that gradients of gradients come for free. dy/dx = 1 / (1 + |x|)**2
class Softsign(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return tinycnn.as_tensor(x.device.kernels.softsign(x.array))

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad_output / (1 + x.abs()) ** 2


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|), element by element: a sigmoid that forgets slowly."""
    return Softsign.apply(x)


# 3. The check: against the other column, and the gradients against finite differences.
def main() -> None:
    x = tinycnn.randn(4, 5, dtype=tinycnn.float64, requires_grad=True)
    assert np.allclose(softsign(x).detach().numpy(), softsign_reference(x.detach().numpy()))
    assert gradcheck(softsign, (x,)) and gradgradcheck(softsign, (x,))
    softsign(x).sum().backward()
    if tinycnn.cuda.is_available():
        assert tinycnn.allclose(softsign(x.detach().cuda()).cpu(), softsign(x.detach()))
        print("and the same on", tinycnn.cuda.get_device_name())
    print("softsign agrees with its reference and with finite differences; x.grad[0] =", x.grad[0])


if __name__ == "__main__":
    main()
