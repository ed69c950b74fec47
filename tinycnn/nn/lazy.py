"""Layers that learn their number of input channels from the first input they see."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..ops.create import empty
from .conv import Conv1d, Conv2d
from .linear import Linear
from .module import Module
from .norm import BatchNorm1d, BatchNorm2d
from .parameter import Parameter


class UninitializedParameter(Parameter):
    """A parameter whose shape is not known yet; until then it has no elements."""

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(empty(0, device=device, dtype=dtype), requires_grad)

    def materialize(self, shape: tuple[int, ...]) -> None:
        """Become an ordinary parameter of `shape`; its numbers are whatever the memory held."""
        self.array = empty(shape, dtype=self.dtype, device=self.device).array
        self.__class__ = Parameter  # type: ignore[assignment]

    def __repr__(self) -> str:  # type: ignore[override]
        return "<UninitializedParameter>"


class _Lazy(Module):
    """`_becomes` is the layer that it is from the first input on; `_shapes` gives the shapes of its parameters."""

    _becomes: type[Module] = Module
    _size = "in_channels"
    _axis = 1

    def _shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        raise TypeError(f"{type(self).__name__} needs a method _shapes(self, size)")

    def initialize_parameters(self, input: Tensor) -> None:
        """Make the parameters for inputs like this one."""
        self._become(int(input.array.shape[self._axis if input.array.ndim > -self._axis else 0]))

    def _become(self, size: int) -> None:
        setattr(self, self._size, size)
        for name, shape in self._shapes(size).items():
            tensor = getattr(self, name)
            if isinstance(tensor, UninitializedParameter):
                tensor.materialize(shape)
            elif isinstance(tensor, Tensor) and tensor.array.shape != shape:
                tensor.array = empty(shape, dtype=tensor.dtype).array
        self.__class__ = self._becomes  # type: ignore[assignment]
        self.reset_parameters()

    def has_uninitialized_params(self) -> bool:
        """True: no input has been seen."""
        return True

    def forward(self, input: Tensor) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(f"{type(self).__name__}: expected a Tensor, got {type(input).__name__}")
        self.initialize_parameters(input)
        return self.forward(input)  # that of the layer which this one has become

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        saved = state_dict.get(prefix + "weight", state_dict.get(prefix + "running_mean"))
        if isinstance(saved, Tensor) and saved.array.size:
            self._become(self._saved_size(saved.array.shape))
            self._load_from_state_dict(state_dict, prefix, *rest)
        else:
            super()._load_from_state_dict(state_dict, prefix, *rest)

    def _saved_size(self, shape: tuple[int, ...]) -> int:
        """The number of inputs of a saved weight."""
        return shape[0]


class LazyLinear(_Lazy, Linear):
    """`Linear` whose in_features is the last size of the first input."""

    _becomes, _size, _axis = Linear, "in_features", -1

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        Module.__init__(self)
        self.in_features, self.out_features = 0, out_features
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.register_parameter("bias", UninitializedParameter(device=device, dtype=dtype) if bias else None)

    def _shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.out_features, size), "bias": (self.out_features,)}

    def _saved_size(self, shape: tuple[int, ...]) -> int:
        return shape[1]


class _LazyConv(_Lazy):
    weight: Parameter

    def __init__(
        self, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0, *args: Any, **kwargs: Any
    ) -> None:
        groups = kwargs.get("groups", args[1] if len(args) > 1 else 1)
        super().__init__(groups, out_channels, kernel_size, stride, padding, *args, **kwargs)  # type: ignore[call-arg]
        layer: Any = self
        layer.in_channels = 0
        kind = layer.weight.dtype
        layer.weight = UninitializedParameter(dtype=kind)
        layer.register_parameter("bias", None if layer.bias is None else UninitializedParameter(dtype=kind))

    def _shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        layer: Any = self
        if size % layer.groups:
            raise ValueError(f"{type(self).__name__}: groups={layer.groups} must divide the {size} channels")
        return {
            "weight": (layer.out_channels, size // layer.groups, *layer.kernel_size),
            "bias": (layer.out_channels,),
        }

    def _saved_size(self, shape: tuple[int, ...]) -> int:
        layer: Any = self
        return shape[1] * layer.groups


class LazyConv2d(_LazyConv, Conv2d):
    """`Conv2d` whose in_channels are those of the first input; the other arguments as there."""

    _becomes, _axis = Conv2d, -3


class LazyConv1d(_LazyConv, Conv1d):
    """`Conv1d` whose in_channels are those of the first input; the other arguments as there."""

    _becomes, _axis = Conv1d, -2


class _LazyNorm(_Lazy):
    _size = "num_features"
    _axis = 1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(1, *args, **kwargs)  # type: ignore[call-arg]
        self.num_features = 0
        for name in ("weight", "bias"):
            old = getattr(self, name)
            if old is not None:
                setattr(self, name, UninitializedParameter(dtype=old.dtype))

    def initialize_parameters(self, input: Tensor) -> None:
        self._become(int(input.array.shape[1]))

    def _shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (size,))


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """`BatchNorm2d` whose num_features are the channels of the first input; the other arguments as there."""

    _becomes = BatchNorm2d


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """`BatchNorm1d` whose num_features are the channels of the first input; the other arguments as there."""

    _becomes = BatchNorm1d
