"""Pooling."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..kernels.geometry import GeometryError, _pair
from . import functional as F
from .module import Module

PairArg = int | tuple[int, int]


def _check_window(layer: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Check the arguments of a pooling layer and return its stride, which is the kernel size if None.

    Raises:
        TypeError, ValueError: for what is not a pair of ints, or a padding of more than half the kernel.
    """
    kernel = _pair(layer, "kernel_size", kernel_size, 1)
    stride = kernel_size if stride is None else stride
    _pair(layer, "stride", stride, 1)
    _pair(layer, "dilation", dilation, 1)
    for p, k in zip(_pair(layer, "padding", padding, 0), kernel, strict=True):
        if p > k // 2:
            raise GeometryError(f"{layer}: padding {p} may be at most half the kernel, {k // 2} for a kernel of {k}")
    return stride


class MaxPool2d(Module):
    """The largest element of each window. Padding counts as -inf; of equal ones the first gets the gradient.

    Shapes: (N, C, H, W) or (C, H, W), to (N, C, OH, OW) or (C, OH, OW), with
    OH = floor((H + 2P - D(K-1) - 1) / S) + 1, and OW likewise.

    Args:
        kernel_size, padding, dilation: an int, or a pair (height, width); the padding at most half the kernel.
        stride: the same; defaults to `kernel_size`.
        return_indices: return (values, indices): where in its image, as i * W + j, each maximum was found.
        ceil_mode: round the size up: keep a last window that reaches over the edge, unless it starts in the padding.

    Raises:
        TypeError, ValueError: for arguments that no image could fit; when called, for an image that does not fit.
    """

    def __init__(
        self,
        kernel_size: PairArg,
        stride: PairArg | None = None,
        padding: PairArg = 0,
        dilation: PairArg = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride: PairArg = _check_window("MaxPool2d", kernel_size, stride, padding, dilation)
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of each window. Shapes as `MaxPool2d`, with D = 1.

    Args:
        kernel_size, padding: an int, or a pair (height, width); the padding at most half the kernel.
        stride: the same; defaults to `kernel_size`.
        ceil_mode: round the size up, as in `MaxPool2d`.
        count_include_pad: whether padded zeros count as elements.
        divisor_override: divide by this number instead of the number of elements.

    Raises:
        TypeError, ValueError: for arguments that no image could fit; when called, for an image that does not fit.
    """

    def __init__(
        self,
        kernel_size: PairArg,
        stride: PairArg | None = None,
        padding: PairArg = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        if divisor_override == 0:
            raise ValueError("AvgPool2d: divisor_override must not be 0")
        self.kernel_size = kernel_size
        self.stride: PairArg = _check_window("AvgPool2d", kernel_size, stride, padding, 1)
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
