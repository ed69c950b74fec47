"""Normalization: of batches (Ioffe and Szegedy 2015), layers, groups, instances."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor, need
from ..dtypes import int64, real
from ..kernels.geometry import _integer
from ..ops.create import empty, legal, ones, zeros
from ..ops.norm import follow
from . import functional as F
from . import init
from .module import Module, holding, weight_and_bias
from .parameter import Parameter

_statistics = holding("_buffers", "running_mean", "running_var", "num_batches_tracked")


class _Scaled(Module):
    """A layer that multiplies its result by `weight`, at first 1, and adds `bias`, at first 0, where it has them."""

    weight: Parameter | None
    bias: Parameter | None

    def _make(self, shape: Any, weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        for key, there in (("weight", weight), ("bias", bias)):
            self.register_parameter(key, Parameter(empty(shape, device=device, dtype=dtype)) if there else None)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _BatchNorm(_Scaled):
    """What batch normalization is for inputs of any number of dimensions; a subclass checks theirs."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.num_features = _integer(name, "num_features", num_features, 1)
        if not real(name, "eps", eps) > 0:
            raise ValueError(f"{name}: eps must be positive, got {eps}")
        if momentum is not None and not 0 <= real(name, "momentum", momentum) <= 1:
            raise ValueError(f"{name}: momentum must lie in [0, 1] or be None (cumulative average), got {momentum}")
        self.eps, self.momentum, self.affine, self.track_running_stats = eps, momentum, affine, track_running_stats
        n = self.num_features
        self._make(n, affine, affine, device, dtype)
        self.register_buffer("running_mean", zeros(n, device=device, dtype=dtype) if track_running_stats else None)
        self.register_buffer("running_var", ones(n, device=device, dtype=dtype) if track_running_stats else None)
        batches = zeros((), device=device, dtype=int64) if track_running_stats else None
        self.register_buffer("num_batches_tracked", batches)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Running mean 0, running variance 1, no batches seen."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, statistics as in `reset_running_stats`."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check_input(self, input: Tensor) -> None:
        raise TypeError(f"{type(self).__name__} needs a method _check_input(self, input)")

    def forward(self, input: Tensor) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(f"{type(self).__name__}: expected a Tensor, got {type(input).__name__}")
        self._check_input(input)
        mean, var, count = _statistics(self)
        weight, bias = weight_and_bias(self)
        use_batch = self.training or mean is None or var is None
        tracking = self.training and self.track_running_stats
        if self.training and not tracking:
            mean = var = None
        momentum = self.momentum
        if momentum is None:  # the mean over all batches so far, this one included
            momentum = 1.0 / (int(count.item()) + 1) if tracking and count is not None else 0.0
        output = F.batch_norm(input, mean, var, weight, bias, use_batch, momentum, self.eps)
        if tracking and count is not None:
            follow(count, 1, 1)
        return output

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm2d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, for each channel of images (N, C, H, W).

    In training, mean and (biased) variance are those of the batch, over N, H and W, and the running ones follow:
    running = (1 - momentum) * running + momentum * batch, with the unbiased variance. In evaluation the running ones
    are used.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: how fast the running statistics follow; None averages over all batches seen.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; without them evaluation uses the batch too.

    Attributes:
        weight, bias: (C,), at first 1 and 0; or None.
        running_mean, running_var: buffers (C,), at first 0 and 1; or None.
        num_batches_tracked: buffer, int64.

    Raises:
        ValueError: for illegal arguments; when called, if the input is not (N, C, H, W), or training would see one
            value per channel, whose variance says nothing.
    """

    def _check_input(self, input: Tensor) -> None:
        shape = tuple(input.array.shape)
        if len(shape) != 4:
            raise ValueError(f"BatchNorm2d: expected 4D input (N, C, H, W), got {len(shape)}D input of shape {shape}")
        if shape[1] != self.num_features:
            raise ValueError(
                f"BatchNorm2d(num_features={self.num_features}): the input has {shape[1]} channels "
                f"(input shape {shape}); make it BatchNorm2d({shape[1]}) or change what comes before"
            )


class BatchNorm1d(_BatchNorm):
    """`BatchNorm2d` for (N, C) or (N, C, L)."""

    def _check_input(self, input: Tensor) -> None:
        if input.array.ndim not in (2, 3):
            raise ValueError(f"BatchNorm1d: expected (N, C) or (N, C, L), got shape {tuple(input.array.shape)}")


class BatchNorm3d(_BatchNorm):
    """`BatchNorm2d` for (N, C, D, H, W)."""

    def _check_input(self, input: Tensor) -> None:
        if input.array.ndim != 5:
            raise ValueError(f"BatchNorm3d: expected (N, C, D, H, W), got shape {tuple(input.array.shape)}")


class _InstanceNorm(_BatchNorm):
    _ndims = (3, 4)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        need(type(self).__name__, input)
        if input.array.ndim not in self._ndims:
            raise ValueError(
                f"{type(self).__name__}: expected {self._ndims[1]} dimensions, or {self._ndims[0]} without a batch, "
                f"got shape {tuple(input.array.shape)}"
            )
        x = input.unsqueeze(0) if input.array.ndim == self._ndims[0] else input
        if x.array.shape[1] != self.num_features and self.affine:
            raise ValueError(
                f"{type(self).__name__}(num_features={self.num_features}): the input has {x.array.shape[1]} channels"
            )
        running, scaling = (self.running_mean, self.running_var), (self.weight, self.bias)
        of_input, momentum = self.training or not self.track_running_stats, self.momentum or 0.0
        y = F.instance_norm(x, *running, *scaling, of_input, momentum, self.eps)
        return y.squeeze(0) if x is not input else y


class InstanceNorm2d(_InstanceNorm):
    """Each channel of each image (N, C, H, W) or (C, H, W) with mean 0 and variance 1 (Ulyanov et al. 2016).

    Args:
        affine: whether weight and bias (C,) follow.
        track_running_stats: whether running statistics are kept, and used in evaluation.
    """


class InstanceNorm1d(_InstanceNorm):
    """`InstanceNorm2d` for (N, C, L) or (C, L)."""

    _ndims = (2, 3)


class GroupNorm(_Scaled):
    """Each of `num_groups` groups of channels of (N, C, ...) with mean 0 and variance 1, times weight plus bias (C,)
    (Wu and He 2018)."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        num_groups = _integer("GroupNorm", "num_groups", num_groups, 1)
        num_channels = _integer("GroupNorm", "num_channels", num_channels, 1)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._make(num_channels, affine, affine, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        kept = self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={kept}"


class LayerNorm(_Scaled):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions (Ba, Kiros and Hinton 2016).

    Args:
        normalized_shape: the sizes of those dimensions, or the last one alone.
        elementwise_affine: whether there are weight and bias, of that shape.
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = legal("LayerNorm", (normalized_shape,))
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make(self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        text = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return f"{text}, bias={self.bias is not None}"


class RMSNorm(_Scaled):
    """x / sqrt(mean(x**2) + eps) * weight over the last dimensions; `eps` defaults to that of the dtype."""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = legal("RMSNorm", (normalized_shape,))
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make(self.normalized_shape, elementwise_affine, False, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Module):
    """x / (k + alpha * mean of x**2 over `size` neighbouring channels)**beta (Krizhevsky et al. 2012)."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
