"""Convolutions of the CUDA column against the readable ones; a chunk of columns has 600 bytes here, a grid 3 blocks."""

import numpy as np
import pytest
from tolerances import GRADIENTS, close

from tinycnn import kernels
from tinycnn.kernels.cuda import conv
from tinycnn.kernels.geometry import conv_spec

gpu, plain = kernels.column("cuda"), kernels.column("reference")

SHAPES = {  # image, weight, stride, padding, dilation, groups
    "plain": ((2, 3, 4, 5), (2, 3, 3, 3), 1, 0, 1, 1),
    "several images in a chunk": ((5, 1, 4, 4), (2, 1, 2, 2), 1, 0, 1, 1),
    "several chunks of channels": ((2, 7, 4, 4), (2, 7, 3, 3), 1, 1, 1, 1),
    "more channels than blocks": ((1, 5, 3, 3), (4, 5, 2, 2), 1, 0, 1, 1),
    "pixels that no window sees": ((2, 2, 6, 7), (3, 2, 2, 1), (3, 2), 0, 1, 1),
    "all at once": ((2, 4, 7, 6), (6, 2, 3, 2), (2, 3), (2, 1), (2, 1), 2),
    "same": ((2, 2, 4, 3), (2, 2, 2, 4), 1, "same", (1, 2), 1),
    "padding beyond the window": ((1, 1, 2, 2), (1, 1, 2, 2), 1, 3, 1, 1),
    "groups, fewer than images": ((4, 4, 3, 3), (4, 2, 2, 2), 1, 1, 1, 2),
    "groups, more than images": ((1, 6, 3, 3), (3, 2, 2, 2), 1, 1, 1, 3),
    "pointwise": ((3, 4, 2, 3), (5, 4, 1, 1), 1, 0, 1, 1),
    "pointwise in groups": ((2, 6, 2, 2), (3, 2, 1, 1), 1, 0, 1, 3),
    "pointwise in many chunks": ((3, 40, 2, 2), (2, 40, 1, 1), 1, 0, 1, 1),
    "1 x 1 with stride": ((2, 3, 4, 5), (2, 3, 1, 1), 2, 0, 1, 1),
    "1 x 1 with padding": ((2, 3, 2, 2), (2, 3, 1, 1), 1, 1, 1, 1),
    "depthwise": ((2, 4, 5, 4), (4, 1, 3, 3), 1, 1, 1, 4),
    "depthwise, several filters": ((2, 3, 5, 6), (6, 1, 2, 3), (2, 1), (1, 2), (1, 2), 3),
    "no images": ((0, 3, 4, 5), (2, 3, 3, 3), 1, 0, 1, 1),
    "no images, depthwise": ((0, 3, 4, 5), (3, 1, 3, 3), 1, 0, 1, 3),
}


def there(x):
    return gpu.xp.asarray(x)


CASES = [(name, np.float32) for name in SHAPES] + [("all at once", np.float64), ("depthwise", np.float64)]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_convolution_and_its_gradients(name, dtype):
    image, weight, *rest = SHAPES[name]
    spec = conv_spec(image, weight, *rest)
    rng = np.random.default_rng(0)
    x, w, gy = [rng.standard_normal(s) for s in (image, weight, spec.output_shape)]
    b = rng.standard_normal(weight[0])
    mine = [there(a.astype(dtype)) for a in (x, w, b, gy)]
    for bias, its in ((b, mine[2]), (None, None)):
        close(gpu.conv2d(mine[0], mine[1], its, spec).get(), plain.conv2d(x, w, bias, spec), dtype)
    gx, gw = gpu.conv2d_input_grad(mine[3], mine[1], spec), gpu.conv2d_weight_grad(mine[3], mine[0], spec)
    assert gx.dtype == gw.dtype == dtype
    close(gx.get(), plain.conv2d_input_grad(gy, w, spec), dtype, GRADIENTS)
    close(gw.get(), plain.conv2d_weight_grad(gy, x, spec), dtype, GRADIENTS)


def test_chunks_cover_everything_once_and_stay_small():
    for image, weight, *rest in SHAPES.values():
        spec = conv_spec(image, weight, *rest)
        seen = np.zeros((spec.in_channels // spec.groups, spec.batch), int)
        one = 8 * np.prod(spec.kernel_size) * np.prod(spec.output_size) * spec.groups
        for channel, channels, first, images in conv._chunks(spec, 8):
            seen[channel : channel + channels, first : first + images] += 1
            assert one * channels * images <= conv.CHUNK_BYTES or channels == images == 1
        assert (seen == 1).all()


def test_views_and_half_precision():
    spec = conv_spec((2, 3, 4, 5), (2, 3, 2, 2))
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((5, 4, 3, 2)), rng.standard_normal((2, 2, 3, 2))
    close(gpu.conv2d(there(x).T, there(w).T, None, spec).get(), plain.conv2d(x.T, w.T, None, spec))
    half = gpu.conv2d(there(x.astype(np.float16)).T, there(w.astype(np.float16)).T, None, spec)
    close(half.get(), plain.conv2d(x.T, w.T, None, spec), table={np.dtype(np.float16): 2e-2})
