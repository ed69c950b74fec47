"""Compiling kernels in advance: each task runs something small that takes one more way through the kernels.

Kernels are compiled when they are first called, for each dtype, and kept on disk. So what is run here starts at once
in every later process. A kernel that got a new branch gets a task here whose shapes take it.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

import tinycnn

from . import Tensor, nn, optim
from .nn import functional as F
from .vision.models import LeNet5
from .vision.models.resnet import BasicBlock, conv1x1, conv3x3

Shape = tuple[int, ...]
Task = Callable[[tinycnn.dtype], Any]


def training(model: Callable[[], nn.Module], shape: Shape) -> Task:
    """A training step with SGD and momentum, then the same model's inference of some images and of one."""

    def run(dtype: tinycnn.dtype) -> None:
        net = model().to(dtype)
        optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
        x, y = tinycnn.randn(*shape, dtype=dtype), tinycnn.zeros(shape[0], dtype=tinycnn.int64)
        nn.CrossEntropyLoss()(net(x), y).backward()
        optimizer.step()
        net.eval()
        with tinycnn.no_grad():
            net(x[:32])  # linear layers have another kernel for few rows
            net(x[:1]).argmax(1)

    return run


def gradient(function: Callable[..., Any], *shapes: Shape) -> Task:
    """`function` of random tensors, and its gradients."""

    def run(dtype: tinycnn.dtype) -> None:
        inputs = [tinycnn.randn(*shape, dtype=dtype, requires_grad=True) for shape in shapes]
        y = function(*inputs)
        tinycnn.autograd.grad(y, inputs, tinycnn.ones_like(y))

    return run


def forward(function: Callable[..., Any], *shapes: Shape) -> Task:
    """`function` of random tensors without gradients."""

    def run(dtype: tinycnn.dtype) -> None:
        with tinycnn.no_grad():
            function(*(tinycnn.randn(*shape, dtype=dtype) for shape in shapes))

    return run


def stepping(optimizer: str, **options: Any) -> Task:
    """A step of an optimizer."""

    def run(dtype: tinycnn.dtype) -> None:
        p = nn.Parameter(tinycnn.zeros(10, dtype=dtype))
        p.grad = tinycnn.ones_like(p)
        getattr(optim, optimizer)([p], lr=0.1, **options).step()

    return run


def clipping(dtype: tinycnn.dtype) -> None:
    """Gradients made shorter."""
    p = nn.Parameter(tinycnn.zeros(10, dtype=dtype))
    p.grad = tinycnn.ones_like(p)
    nn.utils.clip_grad_norm_([p], 1.0)


def small_resnet() -> nn.Module:
    """One block of each stage of ResNet-20: every kernel of the whole net."""

    def stage(channels: int, filters: int) -> BasicBlock:
        fit = nn.Sequential(conv1x1(channels, filters, 2), nn.BatchNorm2d(filters))
        return BasicBlock(channels, filters, 2, fit)

    return nn.Sequential(
        *(conv3x3(3, 16), nn.BatchNorm2d(16), nn.ReLU(), BasicBlock(16, 16), stage(16, 32), stage(32, 64)),
        *(BasicBlock(64, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    )


# (N, C, H, O, kernel size), square images; options as in conv2d
CONVS: list[tuple[tuple[int, int, int, int, int], dict[str, int]]] = [
    ((8, 3, 32, 16, 3), {"padding": 1}),  # an image's channels
    ((8, 64, 32, 64, 3), {"padding": 1}),  # 3x3, many tiles
    ((1, 64, 8, 64, 3), {"padding": 1}),  # 3x3, few tiles
    ((16, 256, 14, 256, 3), {"padding": 1}),  # 3x3, many channels and tiles
    ((4, 256, 7, 256, 3), {"padding": 1}),  # 3x3, more channels than pixels
    ((2, 16, 15, 32, 3), {"padding": 1, "stride": 2}),
    ((4, 256, 14, 512, 3), {"padding": 1, "stride": 2}),  # stride 2 with many channels
    ((2, 17, 9, 33, 3), {}),  # odd channels, no padding
    ((2, 16, 16, 24, 5), {"padding": 2}),
    ((8, 32, 28, 32, 7), {"padding": 3}),  # Winograd's algorithm, the kernel in pieces
    ((1, 3, 64, 64, 7), {"padding": 3, "stride": 2}),  # ResNet's first layer
    ((2, 32, 12, 32, 3), {"padding": 1, "dilation": 2}),  # filters in the lanes
    ((2, 128, 14, 128, 3), {"padding": 2, "dilation": 2}),  # as a batch of its phases
    ((4, 64, 14, 128, 1), {}),
    ((4, 64, 14, 128, 1), {"stride": 2}),
    ((2, 64, 14, 64, 3), {"padding": 1, "groups": 4}),
    ((2, 64, 14, 64, 3), {"padding": 1, "groups": 64}),  # depthwise
    ((2, 64, 14, 64, 3), {"padding": 1, "groups": 64, "stride": 2}),
]
PRODUCTS = [(1, 64, 10), (1, 512, 512), (8, 8, 8), (256, 256, 256), (16, 3136, 16)]  # (m, k, n)
MAPS = (8, 16, 32, 32)
ACTIVATIONS = ("gelu", "silu", "hardswish", "sigmoid", "tanh", "leaky_relu", "elu", "softplus", "relu6")
LARGE = (64, 16, 32, 32)  # more than one thread copies


def _convolution(numbers: tuple[int, int, int, int, int], rule: dict[str, int]) -> Task:
    n, c, h, o, k = numbers
    return gradient(
        lambda x, w, b: F.conv2d(x, w, b, **rule),
        *((n, c, h, h), (o, c // rule.get("groups", 1), k, k), (o,)),
    )


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, weight, bias, True)


TASKS: dict[str, Task] = {
    "LeNet-5": training(LeNet5, (64, 1, 32, 32)),
    "ResNet-20": training(small_resnet, (64, 3, 32, 32)),
    "ResNet-20 on few images": training(small_resnet, (4, 3, 32, 32)),
    "Adam": stepping("Adam"),
    "AdamW": stepping("AdamW"),
    **{name: stepping(name) for name in ("SGD", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop")},
    "clip_grad_norm_": clipping,
    **{f"conv2d {sizes} {rule or ''}".strip(): _convolution(sizes, rule) for sizes, rule in CONVS},
    **{f"matmul {m}x{k}x{n}": gradient(tinycnn.matmul, (m, k), (k, n)) for m, k, n in PRODUCTS},
    "matmul of batches": gradient(tinycnn.matmul, (4, 32, 64), (4, 64, 32)),
    "linear of few rows": gradient(F.linear, (4, 400), (120, 400)),
    "linear of few rows, large": gradient(F.linear, (16, 1024), (512, 1024)),
    "max_pool2d 2x2": gradient(lambda x: F.max_pool2d(x, 2), MAPS),
    "max_pool2d 3x3, stride 2": gradient(lambda x: F.max_pool2d(x, 3, 2, 1), MAPS),
    "max_pool2d 3x3, stride 3": gradient(lambda x: F.max_pool2d(x, 3), MAPS),
    "avg_pool2d 2x2": gradient(lambda x: F.avg_pool2d(x, 2), MAPS),
    "avg_pool2d 3x3": gradient(lambda x: F.avg_pool2d(x, 3, 2, 1), MAPS),
    "adaptive_avg_pool2d": gradient(lambda x: F.adaptive_avg_pool2d(x, 1), MAPS),
    "batch_norm of maps": gradient(batch_norm, MAPS, (16,), (16,)),
    "batch_norm of few channels": gradient(batch_norm, (64, 2, 32, 32), (2,), (2,)),
    "batch_norm of rows": gradient(batch_norm, (64, 512), (512,), (512,)),
    "batch_norm of rows, eval": forward(lambda x, m: F.batch_norm(x, m, m * m), (64, 512), (512,)),
    "layer_norm": gradient(lambda x, w, b: F.layer_norm(x, (256,), w, b), (64, 256), (256,), (256,)),
    "layer_norm of long rows": gradient(lambda x, w, b: F.layer_norm(x, (4096,), w, b), (8, 4096), (4096,), (4096,)),
    "group_norm": gradient(lambda x, w, b: F.group_norm(x, 4, w, b), MAPS, (16,), (16,)),
    "losses of pairs": gradient(lambda a, b: F.mse_loss(a, b) + F.mse_loss(a, b, reduction="none").sum(), MAPS, MAPS),
    "dropout": gradient(lambda x: F.dropout(x, 0.5), MAPS),
    "softmax": gradient(lambda x: F.softmax(x, 1), (64, 10)),
    "log_softmax": gradient(lambda x: F.log_softmax(x, 1), (64, 10)),
    **{name: gradient(getattr(F, name), MAPS) for name in ACTIVATIONS},
    "exp": forward(lambda x: x.exp(), MAPS),
    "sums and means": gradient(lambda x: x.sum((0, 2, 3)) + x.mean((0, 2, 3)) + x.sum() + x.mean(), MAPS),
    "sums over rows and columns": gradient(lambda x: x.sum(0) + x.sum(1), (256, 256)),
    "a + b, a - b, a * b, a / b, relu": gradient(lambda a, b: F.relu(a + b) * a - a / b, MAPS, MAPS),
    "gradients of two branches": gradient(lambda a: (lambda y: y * 2 + y * 3)(F.relu(a * 2)), MAPS),
    "running sums": gradient(lambda x: x.cumsum(1), (256, 256)),
    "bounds": forward(lambda a, b: tinycnn.maximum(a, b) + tinycnn.minimum(a, b) + a.clamp(-1, 1), MAPS, MAPS),
    "where, erf, erfc": gradient(lambda a, b: tinycnn.where(a > 0, a.erf(), b.erfc()), MAPS, MAPS),
    "copies and fills": forward(lambda x: x.clone().fill_(2), LARGE),
    "copies of other strides": forward(lambda x: (x.flip(3), x.permute(0, 2, 3, 1).contiguous()), MAPS),
    "softmax over channels": gradient(lambda x: F.softmax(x, 1) + F.log_softmax(x, 1), MAPS),
    "extremes": forward(lambda x: (x.amax(3), x.argmax(3), x.amin(1), x.argmin(1)), MAPS),
    "picking by index": gradient(lambda x: x[:, [2, 1, 2]] + x.gather(1, tinycnn.zeros(8, 3, 32, 32).long()), MAPS),
}


def warm_up(dtypes: Sequence[str] = ("float32",), only: str = "", show: bool = True) -> str:
    """Compile the kernels that training and inference of common nets need, and keep them on disk.

    Args:
        dtypes: names of floating dtypes.
        only: run only the tasks whose names contain this.
        show: a progress bar on stderr.

    Returns:
        What was done, in words.
    """
    jit: Any = importlib.import_module("tinycnn.kernels.cpu.jit")  # loads Numba
    before = jit.counts()
    began = time.perf_counter()
    state = tinycnn.get_rng_state()  # the tasks draw numbers
    todo = [(name, kind) for kind in dtypes for name in TASKS if only in name]
    with (
        jit.unannounced(),
        tqdm(todo, file=sys.stderr, disable=not show, unit="task", leave=False) as bar,
    ):
        for name, kind in bar:
            bar.set_description(f"{kind}: {name}")
            TASKS[name](getattr(tinycnn, kind))
    tinycnn.set_rng_state(state)
    compiled, loaded = (now - then for now, then in zip(jit.counts(), before, strict=True))
    where = ", ".join(jit.cache_folders()) or "none (NUMBA_CACHE_DIR can name a folder)"
    done = f"{compiled} compiled" if compiled else "nothing to compile"
    return (
        f"{done}, {loaded} were on disk already, in {time.perf_counter() - began:.1f} s ({', '.join(dtypes)})\n"
        f"cache: {where}"
    )
