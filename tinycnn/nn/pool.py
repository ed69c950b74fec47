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


class MaxPool1d(MaxPool2d):
    """`MaxPool2d` along one dimension: (N, C, L) or (C, L)."""

    def forward(self, input: Tensor) -> Any:
        return F.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class AvgPool1d(AvgPool2d):
    """`AvgPool2d` along one dimension: (N, C, L) or (C, L)."""

    def __init__(
        self,
        kernel_size: PairArg,
        stride: PairArg | None = None,
        padding: PairArg = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        sizes: Any = [(v,) if isinstance(v, int) else tuple(v) for v in (kernel_size, self.stride, padding)]
        self.kernel_size, self.stride, self.padding = sizes

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class _Adaptive(Module):
    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(_Adaptive):
    """The mean of windows that divide the image evenly: (N, C, H, W) to (N, C, *output_size); None keeps a size."""

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool1d(_Adaptive):
    """The mean of windows that divide (N, C, L) evenly: (N, C, output_size)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveMaxPool2d(_Adaptive):
    """The largest element of windows that divide the image evenly; with `return_indices` also where."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(AdaptiveMaxPool2d):
    """`AdaptiveMaxPool2d` along one dimension."""

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class MaxUnpool2d(Module):
    """The elements at the indices that `MaxPool2d` returned, in images of zeros."""

    def __init__(self, kernel_size: PairArg, stride: PairArg | None = None, padding: PairArg = 0) -> None:
        super().__init__()
        self.kernel_size: Any = _pair("MaxUnpool2d", "kernel_size", kernel_size, 1)
        self.stride: Any = self.kernel_size if stride is None else _pair("MaxUnpool2d", "stride", stride, 1)
        self.padding: Any = _pair("MaxUnpool2d", "padding", padding, 0)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(Module):
    """`MaxUnpool2d` along one dimension."""

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride = (kernel_size,), (kernel_size if stride is None else stride,)
        self.padding = (padding,)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class LPPool2d(Module):
    """(sum of x**norm_type over each window)**(1 / norm_type)."""

    def __init__(
        self, norm_type: float, kernel_size: PairArg, stride: PairArg | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool2d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(LPPool2d):
    """`LPPool2d` along one dimension."""

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool1d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)
