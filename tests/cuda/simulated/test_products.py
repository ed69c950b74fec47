"""Matrix products as cuBLAS is asked for them; NumPy answers, given addresses as cuBLAS is."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from tolerances import GRADIENTS, close

import tinycnn
from tinycnn import kernels
from tinycnn.kernels.cuda import gemm

gpu, plain = kernels.column("cuda"), kernels.column("reference")
RNG = np.random.default_rng(0)


def there(x):
    return gpu.xp.asarray(x)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
@pytest.mark.parametrize(
    "sizes", [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 1), (0, 4, 5), (3, 0, 5), (3, 4, 0)]
)
@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("batch", [None, 0, 1, 3])
def test_matmul(dtype, sizes, flips, batch):
    m, k, n = sizes
    shapes = [(k, m) if flips[0] else (m, k), (n, k) if flips[1] else (k, n)]
    lead = () if batch is None else (batch,)
    a, b = [(4 * RNG.standard_normal((*lead, *s))).astype(dtype) for s in shapes]
    result = gpu.matmul(there(a), there(b), *flips)
    assert result.flags.c_contiguous and result.dtype == dtype
    close(result.get(), plain.matmul(a, b, *flips), np.float64 if dtype == np.int64 else dtype, GRADIENTS)


def test_one_matrix_serves_a_batch():
    a, b = RNG.standard_normal((3, 4)), RNG.standard_normal((5, 4, 2))
    close(gpu.matmul(there(a), there(b)).get(), a @ b)
    close(gpu.matmul(there(a[None]), there(b)).get(), a @ b)
    stretched = gpu.xp.broadcast_to(there(a), (5, 3, 4))
    assert gemm.layout(stretched) == (False, 4, 0)
    close(gpu.matmul(stretched, there(b)).get(), a @ b)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (lambda x: x, (False, 8, 48)),
        (lambda x: x.swapaxes(1, 2), (True, 8, 48)),
        (lambda x: x[:, 1:3, 2:5], (False, 8, 48)),
        (lambda x: x[::2, ::3], (False, 24, 96)),
        (lambda x: x[0], (False, 8, 0)),
        (lambda x: x[:, :, ::2], None),
        (lambda x: x[:, ::-1], None),
        (lambda x: x[::-1], None),
        (lambda x: x[:, :1, ::2], (True, 2, 48)),
        (lambda x: x[:, :, 3:4], (False, 8, 48)),
    ],
)
def test_layouts(view, expected):
    x = np.arange(4 * 6 * 8.0).reshape(4, 6, 8)
    found = gemm.layout(view(there(x)))
    if expected is not None and view(x).shape[1] == 1:
        expected = found  # any lead will do
        assert found is not None
    assert found == expected
    a, b = view(x), np.moveaxis(view(x), -1, -2)
    close(gpu.matmul(view(there(x)), view(there(x)).swapaxes(-1, -2)).get(), a @ b)


def test_results_accumulate_in_a_view():
    a, b = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 5))
    whole = RNG.standard_normal((6, 9))
    out = there(whole.copy())
    gemm.multiply(there(a), there(b), out[1:4, 2:7], accumulate=True)
    expected = whole.copy()
    expected[1:4, 2:7] += a @ b
    close(out.get(), expected)


def test_what_was_there_does_not_matter():
    out = there(np.full((2, 2), np.nan))
    gemm.multiply(there(np.eye(2)), there(np.eye(2)), out)
    close(out.get(), np.eye(2))


def test_every_stream_has_a_handle_of_its_own(monkeypatch):
    """CuPy has one for each thread; two streams would share its workspace."""
    made, here = [], SimpleNamespace(id=0, ptr=0)
    monkeypatch.setattr(gemm, "SIMULATED", False)
    monkeypatch.setattr(gemm, "_local", threading.local())
    monkeypatch.setattr(gemm, "place", lambda: (here.id, here.ptr))
    create = SimpleNamespace(create=lambda: made.append(len(made) + 1) or len(made), destroy=lambda handle: None)
    monkeypatch.setattr(gemm, "_of_cupy", lambda: create)
    cupys = SimpleNamespace(get_cublas_handle=lambda: -1, Handle=lambda handle, destroy: SimpleNamespace(handle=handle))
    monkeypatch.setattr(gpu.xp.cuda, "device", cupys, raising=False)
    found = []
    for here.id, here.ptr in [(0, 0), (0, 64), (0, 0), (0, 128), (0, 64), (1, 64), (0, 128)]:
        found.append(gemm._handle())
    assert found == [-1, 1, -1, 2, 1, 3, 2]
    thread = threading.Thread(target=lambda: found.append(gemm._handle()))
    thread.start()
    thread.join()
    assert found[-1] == 4


def test_the_switch_for_tensor_cores():
    switches = tinycnn.backends.cuda
    asked = []

    def noted(*args):
        asked.append(args[-2])

    a = there(np.eye(2, dtype=np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu.xp, "gemmStridedBatchedEx", noted)
        try:
            gpu.matmul(a, a)
            switches.allow_tf32 = True
            assert switches.matmul.allow_tf32 is True
            gpu.matmul(a, a)
            gpu.matmul(a.astype(np.float64), a.astype(np.float64))
        finally:
            switches.matmul.allow_tf32 = False
    assert asked == [68, 77, 70] and switches.allow_tf32 is False
    with pytest.raises(TypeError, match="True or False"):
        switches.allow_tf32 = 1
