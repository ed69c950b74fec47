"""What is measured: one code for both libraries; `lib` is the module `torch` or `tinycnn`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Step = Callable[[], Any]


@dataclass(frozen=True)
class Workload:
    """One line of the tables.

    Attributes:
        make: from the library to the function to time; everything that is not to be timed is done in `make`.
        flops: multiplications and additions of one call; of a convolution those of its definition.
        bytes: what one call must read and write at least.
        per: one call counts as so many (images, for time per image).
        part: the lines of a group are averaged by part ("f" for forward, "f + b" with backward), if it has any.
    """

    group: str
    name: str
    make: Callable[[Any], Step]
    flops: float = 0
    bytes: float = 0
    per: int = 1
    part: str = ""


# Models


def lenet(lib: Any) -> Any:
    """LeNet-5 with ReLU and max pooling, for (N, 1, 32, 32)."""
    nn = lib.nn
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def tutorial_net(lib: Any) -> Any:
    """The net of PyTorch's CIFAR-10 tutorial: LeNet-5 on three channels."""
    model = lenet(lib)
    model[0] = lib.nn.Conv2d(3, 6, 5)
    return model


def mnist_cnn(lib: Any) -> Any:
    """The net of PyTorch's MNIST example, for (N, 1, 28, 28)."""
    nn = lib.nn
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )


def conv_norm(lib: Any, channels: int, filters: int, kernel: int, stride: int = 1, groups: int = 1) -> list[Any]:
    """A convolution that keeps the size at stride 1, and a batch norm."""
    conv = lib.nn.Conv2d(channels, filters, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, lib.nn.BatchNorm2d(filters)]


def resnet(lib: Any, stem: list[Any], widths: list[int], blocks: int, classes: int) -> Any:
    """A ResNet of basic blocks: one stage for each width, each but the first begins with stride 2."""
    nn = lib.nn

    class Block(nn.Module):
        def __init__(self, channels: int, filters: int, stride: int) -> None:
            super().__init__()
            first = conv_norm(lib, channels, filters, 3, stride)
            self.body = nn.Sequential(*first, nn.ReLU(), *conv_norm(lib, filters, filters, 3))
            fits = channels == filters and stride == 1
            self.shortcut = nn.Identity() if fits else nn.Sequential(*conv_norm(lib, channels, filters, 1, stride))

        def forward(self, x: Any) -> Any:
            return nn.functional.relu(self.body(x) + self.shortcut(x))

    layers, channels = list(stem), widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            layers.append(Block(channels, width, 2 if stage and not block else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def resnet20(lib: Any) -> Any:
    """ResNet-20 for CIFAR (He et al. 2016), with 1x1 convolutions where sizes change."""
    return resnet(lib, [*conv_norm(lib, 3, 16, 3), lib.nn.ReLU()], [16, 32, 64], 3, 10)


def resnet18(lib: Any) -> Any:
    """ResNet-18 for ImageNet."""
    stem = [*conv_norm(lib, 3, 64, 7, 2), lib.nn.ReLU(), lib.nn.MaxPool2d(3, 2, 1)]
    return resnet(lib, stem, [64, 128, 256, 512], 2, 1000)


def vgg11(lib: Any) -> Any:
    """VGG-11 with batch norm, for CIFAR: five halvings to 1x1 and one linear layer."""
    nn = lib.nn
    layers: list[Any] = []
    channels = 3
    for width in (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"):
        if isinstance(width, int):
            layers += [*conv_norm(lib, channels, width, 3), nn.ReLU()]
            channels = width
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


def mobilenet(lib: Any) -> Any:
    """A small MobileNet for CIFAR: depthwise 3x3 convolutions, then 1x1 ones."""
    nn = lib.nn
    layers = [*conv_norm(lib, 3, 32, 3), nn.ReLU()]
    for channels, filters, stride in ((32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)):
        layers += [*conv_norm(lib, channels, channels, 3, stride, channels), nn.ReLU()]
        layers += [*conv_norm(lib, channels, filters, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


# What is timed


def laid_out(lib: Any, what: Any) -> Any:
    """A model or an image as the environment asks for it: PyTorch's channels_last suits tensor cores."""
    images = isinstance(what, lib.nn.Module) or what.ndim == 4
    if os.environ.get("BENCHMARK_LAYOUT") == "channels_last" and images:
        return what.to(memory_format=lib.channels_last)
    return what


def training(model: Any, shape: tuple[int, ...], optimizer: str = "SGD", classes: int = 10) -> Callable[[Any], Step]:
    """Whole training steps: zero_grad, forward, loss, backward, optimizer."""

    def make(lib: Any) -> Step:
        net = laid_out(lib, model(lib).train())
        options = {"lr": 0.001} if optimizer == "Adam" else {"lr": 0.01, "momentum": 0.9}
        opt = getattr(lib.optim, optimizer)(net.parameters(), **options)
        criterion = lib.nn.CrossEntropyLoss()
        x, y = laid_out(lib, lib.randn(*shape)), lib.randint(0, classes, (shape[0],))

        def step() -> None:
            opt.zero_grad()
            criterion(net(x), y).backward()
            opt.step()

        return step

    return make


def inference(model: Any, shape: tuple[int, ...]) -> Callable[[Any], Step]:
    """A forward pass in eval mode without gradients."""

    def make(lib: Any) -> Step:
        net, x = laid_out(lib, model(lib).eval()), laid_out(lib, lib.randn(*shape))

        def step() -> Any:
            with lib.no_grad():
                return net(x)

        return step

    return make


def function(build: Callable[[Any], tuple[Callable[..., Any], list[Any]]], backward: bool) -> Callable[[Any], Step]:
    """`f(*inputs)` without gradients, or with those of all inputs; `build` gives f and its inputs.

    Every result is asked for its address: tinycnn may put off what nobody looks at.
    """

    def make(lib: Any) -> Step:
        f, inputs = build(lib)
        inputs = [laid_out(lib, x) for x in inputs]

        def forward() -> Any:
            with lib.no_grad():
                y = f(*inputs)
                y.data_ptr()
                return y

        if not backward:
            return forward
        upstream = lib.ones_like(forward())
        for tensor in inputs:
            tensor.requires_grad_()

        def both() -> Any:
            y = f(*inputs)
            y.data_ptr()
            return lib.autograd.grad(y, inputs, upstream)

        return both

    return make


def optimizer_step(name: str, model: Any) -> Callable[[Any], Step]:
    """The optimizer alone on the parameters of a model."""

    def make(lib: Any) -> Step:
        parameters = list(model(lib).parameters())
        for p in parameters:
            p.grad = lib.randn(*p.shape)
        options = {"momentum": 0.9} if name == "SGD" else {}
        return getattr(lib.optim, name)(parameters, lr=1e-4, **options).step

    return make


# (N, C, H, O, kernel, stride, padding, dilation, groups): square images
Conv = tuple[int, int, int, int, int, int, int, int, int]
CONVS: list[Conv] = [
    (64, 1, 28, 6, 5, 1, 2, 1, 1),
    (64, 6, 14, 16, 5, 1, 0, 1, 1),
    (128, 3, 32, 16, 3, 1, 1, 1, 1),
    (128, 16, 32, 16, 3, 1, 1, 1, 1),
    (128, 32, 16, 32, 3, 1, 1, 1, 1),
    (128, 64, 8, 64, 3, 1, 1, 1, 1),
    (16, 64, 56, 64, 3, 1, 1, 1, 1),
    (16, 256, 14, 256, 3, 1, 1, 1, 1),
    (4, 512, 7, 512, 3, 1, 1, 1, 1),
    (128, 16, 32, 32, 3, 2, 1, 1, 1),
    (8, 3, 224, 64, 7, 2, 3, 1, 1),
    (32, 128, 28, 128, 3, 1, 1, 1, 128),
    (32, 64, 28, 64, 3, 1, 1, 1, 4),
]
ODD_CONVS: list[Conv] = [
    (1, 16, 32, 16, 3, 1, 1, 1, 1),
    (3, 16, 32, 16, 3, 1, 1, 1, 1),
    (1, 64, 56, 64, 3, 1, 1, 1, 1),
    (32, 17, 28, 33, 3, 1, 1, 1, 1),
    (32, 33, 15, 17, 3, 2, 1, 1, 1),
    (32, 32, 28, 32, 5, 1, 2, 1, 1),
    (8, 32, 28, 32, 7, 1, 3, 1, 1),
    (16, 32, 28, 32, 3, 1, 2, 2, 1),
    (32, 64, 28, 128, 1, 1, 0, 1, 1),
    (32, 64, 28, 128, 1, 2, 0, 1, 1),
    (32, 64, 28, 64, 3, 2, 1, 1, 64),
]
# (m, k, n)
PRODUCTS = [(n, n, n) for n in (64, 128, 256, 512, 1024, 2048)]
PRODUCTS += [(64, 3136, 128), (128, 512, 1000), (1, 512, 1000), (64, 400, 120)]


def conv_workloads(group: str, convs: list[Conv]) -> Iterator[Workload]:
    """Each convolution forward, and forward with both gradients."""
    for n, c, h, o, k, s, p, d, g in convs:
        options = {"stride": s, "padding": p, "dilation": d, "groups": g}

        def build(lib: Any, shapes: Any = ((n, c, h, h), (o, c // g, k, k)), options: Any = options) -> Any:
            conv = lib.nn.functional.conv2d
            return lambda x, w: conv(x, w, **options), [lib.randn(*shape) for shape in shapes]

        side = (h + 2 * p - d * (k - 1) - 1) // s + 1
        flops = 2.0 * n * o * side * side * (c // g) * k * k
        name = f"{n},{c},{h},{h} -> {o}, {k}x{k}"
        name += (f", stride {s}" if s > 1 else "") + (f", pad {p}" if p else "") + (f", dilation {d}" if d > 1 else "")
        name += f", groups {g}" if g > 1 else ""
        yield Workload(group, name, function(build, False), flops, part="f")
        yield Workload(group, name, function(build, True), 3 * flops, part="f + b")


def matmul_workloads() -> Iterator[Workload]:
    """Products of matrices, without gradients."""
    for m, k, n in PRODUCTS:

        def build(lib: Any, a: tuple[int, int] = (m, k), b: tuple[int, int] = (k, n)) -> Any:
            return lib.matmul, [lib.randn(*a), lib.randn(*b)]

        yield Workload("matmul", f"{m}x{k} @ {k}x{n}", function(build, False), 2.0 * m * k * n)


def memory_workloads() -> Iterator[Workload]:
    """Operations that do little with each number; `bytes` counts every array that must be read or written, once."""
    shape = (128, 64, 32, 32)
    full = 4.0 * math.prod(shape)

    def add_relu(lib: Any) -> Any:
        return lambda a, b: lib.relu(a + b), [lib.randn(*shape), lib.randn(*shape)]

    def pool(lib: Any) -> Any:
        return lambda x: lib.nn.functional.max_pool2d(x, 2), [lib.randn(*shape)]

    def norm(lib: Any) -> Any:
        mean, var, f = lib.zeros(64), lib.ones(64), lib.nn.functional.batch_norm
        return lambda x, w, b: f(x, mean, var, w, b, True), [lib.randn(*shape), lib.ones(64), lib.zeros(64)]

    def loss(classes: int) -> Any:
        def build(lib: Any) -> Any:
            target = lib.randint(0, classes, (128,))
            return lambda x: lib.nn.functional.cross_entropy(x, target), [lib.randn(128, classes)]

        return build

    name = "128,64,32,32"
    parameters = 4.0 * 272_474
    yield Workload("memory", f"relu(a + b), {name}", function(add_relu, False), bytes=3 * full)
    yield Workload("memory", f"max_pool2d 2x2, {name}, f", function(pool, False), bytes=1.25 * full)
    yield Workload("memory", f"max_pool2d 2x2, {name}, f + b", function(pool, True), bytes=2.5 * full)
    yield Workload("memory", f"batch_norm, {name}, f", function(norm, False), bytes=2 * full)
    yield Workload("memory", f"batch_norm, {name}, f + b", function(norm, True), bytes=5 * full)
    yield Workload("memory", "cross_entropy, 128x10, f + b", function(loss(10), True))
    yield Workload("memory", "cross_entropy, 128x1000, f + b", function(loss(1000), True))
    yield Workload("memory", "SGD step, ResNet-20", optimizer_step("SGD", resnet20), bytes=5 * parameters)
    yield Workload("memory", "Adam step, ResNet-20", optimizer_step("Adam", resnet20), bytes=7 * parameters)


def more_workloads() -> Iterator[Workload]:
    """Other operations that memory bounds: normalizations, activations, reductions, moves, losses, optimizers."""
    maps, rows = (128, 64, 32, 32), (8192, 512)
    full = 4.0 * math.prod(maps)

    def layer_norm(lib: Any) -> Any:
        f = lib.nn.functional.layer_norm
        return lambda x, w, b: f(x, rows[1:], w, b), [lib.randn(*rows), lib.ones(512), lib.zeros(512)]

    def group_norm(lib: Any) -> Any:
        f = lib.nn.functional.group_norm
        return lambda x, w, b: f(x, 8, w, b), [lib.randn(*maps), lib.ones(64), lib.zeros(64)]

    def instance_norm(lib: Any) -> Any:
        return lib.nn.functional.instance_norm, [lib.randn(*maps)]

    for name, build, size in (
        ("layer_norm, 8192x512", layer_norm, 4.0 * math.prod(rows)),
        ("group_norm of 8 groups, 128,64,32,32", group_norm, full),
        ("instance_norm, 128,64,32,32", instance_norm, full),
    ):
        yield Workload("more", f"{name}, f", function(build, False), bytes=2 * size)
        yield Workload("more", f"{name}, f + b", function(build, True), bytes=5 * size)

    def on_maps(f: Callable[[Any], Callable[..., Any]], *shapes: tuple[int, ...]) -> Any:
        return lambda lib: (f(lib), [lib.randn(*shape) for shape in shapes])

    for activation in ("gelu", "silu", "hardtanh", "leaky_relu"):
        build = on_maps(lambda lib, activation=activation: getattr(lib.nn.functional, activation), maps)
        yield Workload("more", f"{activation}, 128,64,32,32, f", function(build, False), bytes=2 * full)
        yield Workload("more", f"{activation}, 128,64,32,32, f + b", function(build, True), bytes=5 * full)
    for name, build in {
        "a * b": on_maps(lambda lib: lib.mul, maps, maps),
        "a + a value for each channel": on_maps(lambda lib: lib.add, maps, (1, 64, 1, 1)),
        "exp": on_maps(lambda lib: lib.exp, maps),
        "sum of everything": on_maps(lambda lib: lib.sum, maps),
        "mean of each channel": on_maps(lambda lib: lambda x: x.mean((0, 2, 3)), maps),
        "largest of each row": on_maps(lambda lib: lambda x: x.amax(-1), maps),
        "softmax over channels": on_maps(lambda lib: lambda x: x.softmax(1), maps),
        "channels last, contiguous": on_maps(lambda lib: lambda x: x.permute(0, 2, 3, 1).contiguous(), maps),
        "cat of two": on_maps(lambda lib: lambda a, b: lib.cat([a, b], 1), maps, maps),
        "pad by 1": on_maps(lambda lib: lambda x: lib.nn.functional.pad(x, (1, 1, 1, 1)), maps),
    }.items():
        yield Workload("more", f"{name}, 128,64,32,32", function(build, False))
    for loss in ("mse_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits"):

        def pair(lib: Any, loss: str = loss) -> Any:
            target = lib.rand(128, 1000)
            return lambda x: getattr(lib.nn.functional, loss)(x, target), [lib.randn(128, 1000)]

        yield Workload("more", f"{loss}, 128x1000, f + b", function(pair, True))
    for optimizer in ("RMSprop", "Adagrad", "NAdam"):
        yield Workload("more", f"{optimizer} step, ResNet-20", optimizer_step(optimizer, resnet20))


def _all() -> Iterator[Workload]:
    cifar = (3, 32, 32)
    for name, make in {
        "LeNet-5, 1x32x32, batch 64": training(lenet, (64, 1, 32, 32)),
        "CIFAR tutorial net, batch 4": training(tutorial_net, (4, *cifar)),
        "CIFAR tutorial net, batch 64": training(tutorial_net, (64, *cifar)),
        "MNIST example CNN, Adam, batch 64": training(mnist_cnn, (64, 1, 28, 28), "Adam"),
        "ResNet-20, CIFAR, batch 128": training(resnet20, (128, *cifar)),
        "ResNet-18, 224x224, batch 8": training(resnet18, (8, 3, 224, 224), classes=1000),
        "VGG-11 with batch norm, CIFAR, batch 32": training(vgg11, (32, *cifar)),
        "depthwise-separable net, CIFAR, batch 32": training(mobilenet, (32, *cifar)),
    }.items():
        yield Workload("train", name, make)
    for name, make in {
        "LeNet-5, batch 1": inference(lenet, (1, 1, 32, 32)),
        "ResNet-20, batch 1": inference(resnet20, (1, *cifar)),
        "ResNet-20, batch 128": inference(resnet20, (128, *cifar)),
        "ResNet-18, 224x224, batch 1": inference(resnet18, (1, 3, 224, 224)),
    }.items():
        yield Workload("infer", name, make)
    yield from conv_workloads("conv", CONVS)
    yield from conv_workloads("odd", ODD_CONVS)
    yield from matmul_workloads()
    yield from memory_workloads()
    yield from more_workloads()
    for batch in (64, 1024):
        make = training(resnet20, (batch, *cifar))
        yield Workload("scaling", f"ResNet-20 training step, batch {batch}, per image", make, per=batch)


WORKLOADS = list(_all())
