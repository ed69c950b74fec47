"""The pool: when a block comes back, what is kept, and that nobody gets memory which another array still shows."""

import gc
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

from tinycnn.kernels.cpu import memory
from tinycnn.kernels.cpu.memory import ALWAYS, PARALLEL, SMALLEST, Pool
from tinycnn.kernels.reference import memory as reference

F32 = np.dtype(np.float32)


def take(pool, nbytes):
    return pool.array(nbytes, np.dtype(np.uint8), nbytes)[0]


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("nbytes", [SMALLEST, SMALLEST + 1, 100_000, 131_071, 131_072, 131_073, 3_000_001, 10_000_000])
def test_blocks_are_whole_pages_and_at_most_an_eighth_too_large(nbytes):
    pool = Pool()
    x = take(pool, nbytes)
    assert nbytes <= pool.total <= nbytes * 9 / 8 and pool.total % 4096 == 0
    assert address(x) % 64 == 0 and x.nbytes == nbytes and not x.any()


def test_an_array_of_the_pool_is_an_ordinary_array():
    x = memory.empty((64, 1024), np.float32)
    assert type(x) is np.ndarray and x.shape == (64, 1024) and x.dtype is F32 and x.flags.carray
    x[...] = np.arange(1024)
    assert np.array_equal(pickle.loads(pickle.dumps(x)), x)
    assert x.copy().flags.owndata and x[1:].base is x and x.reshape(-1)[5:].view(np.int32).T.base is x
    assert np.shares_memory(np.from_dlpack(x), x)


@pytest.mark.parametrize("shape", [(), (0,), (0, 5), 7, (3, 4), SMALLEST // 4 - 1, (SMALLEST,), (np.int64(1 << 17),)])
@pytest.mark.parametrize("dtype", [np.float32, np.dtype(np.float64), "int8", bool])
def test_shapes_and_dtypes_are_those_of_numpy(shape, dtype):
    for make, model in ((memory.empty, np.empty), (memory.zeros, np.zeros)):
        mine, numpys = make(shape, dtype), model(shape, dtype)
        assert mine.shape == numpys.shape and mine.dtype == numpys.dtype and mine.strides == numpys.strides
        assert make is memory.empty or not mine.any()


def test_small_arrays_stay_with_numpy():
    assert memory.empty(SMALLEST - 1, np.uint8).flags.owndata
    assert not memory.empty(SMALLEST, np.uint8).flags.owndata


def test_a_block_comes_back_when_its_array_dies():
    pool = Pool()
    x = take(pool, 100_000)
    where = address(x)
    assert (pool.kept, pool.hits, pool.misses) == (0, 0, 1)
    del x
    assert pool.kept == pool.total and pool.peak == pool.total
    y = take(pool, 99_999)
    assert address(y) == where and (pool.kept, pool.hits, pool.misses) == (0, 1, 1)


@pytest.mark.parametrize(
    "keep",
    [
        lambda x: x[5:7],
        lambda x: x.reshape(100, -1)[3:, ::2].T,
        lambda x: x.view(np.int32)[:10],
        lambda x: x[:5].reshape(-1)[1:][1:],
        memoryview,
        lambda x: np.frombuffer(x, np.int32),
        lambda x: np.lib.stride_tricks.as_strided(x, (2, 2), (8, 1)),
        lambda x: np.from_dlpack(x)[3:],
        lambda x: np.broadcast_to(x, (3, len(x))),
        lambda x: np.asarray(x.view(type("Sub", (np.ndarray,), {})))[2:],
    ],
)
def test_whatever_shows_the_memory_holds_the_block(keep):
    pool = Pool()
    x = take(pool, 100_000)
    shown = keep(x)
    del x
    gc.collect()
    assert pool.kept == 0
    del shown
    gc.collect()
    assert pool.kept == pool.total > 0


def test_the_garbage_collector_gives_blocks_back():
    pool = Pool()
    ring = [take(pool, 100_000)]
    ring.append(ring)
    del ring
    gc.collect()
    assert pool.kept == pool.total


def test_zeros_are_zeros_also_in_used_memory():
    for size in (SMALLEST, PARALLEL - 8, PARALLEL, PARALLEL + 8, PARALLEL + 3):
        x = memory.zeros(size, np.uint8)
        x.fill(255)
        where = address(x)
        del x
        y = memory.zeros(size, np.uint8)
        assert address(y) == where and not y.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, np.float16])
@pytest.mark.parametrize("nbytes", [64, PARALLEL - 8, PARALLEL, PARALLEL + 8])
def test_fill_and_copy(dtype, nbytes):
    x = memory.empty(nbytes // np.dtype(dtype).itemsize, dtype)
    memory.fill(x, 3)
    assert (x == 3).all()
    x[-1] = 5
    for source in (x, x[::-1], x[1:], np.broadcast_to(x[-2:], (3, 2))):
        twin = memory.copy(source)
        assert twin.flags.carray and np.array_equal(twin, source) and not np.shares_memory(twin, source)


def test_cast():
    for size in (5, 1 << 15):
        x = np.arange(size) * 1.5
        for source in (x, x[::-2], x.reshape(-1, 1).T):
            for dtype in (np.float32, np.int64, bool):
                for column in (memory, reference):
                    y = column.cast(source, dtype)
                    assert y.dtype == dtype and np.array_equal(y, source.astype(dtype))
                    assert y.flags.owndata or size > 5


def test_what_is_kept_follows_from_what_was_in_use():
    pool = Pool()
    sizes = [n << shift for shift in (21, 22) for n in range(8, 16)]
    for size in sizes:  # used one after the other: not all are kept
        take(pool, size)
    assert pool.misses == len(sizes) and pool.peak == max(sizes)
    assert max(sizes) < pool.kept == pool.total <= pool.peak + ALWAYS < sum(sizes)
    alive = [take(pool, size) for size in sizes]
    assert pool.kept == 0 and pool.total == pool.peak == sum(sizes)
    del alive
    assert pool.kept == sum(sizes)  # used all at once: all are kept


def test_the_blocks_of_longest_ago_go_first():
    pool = Pool()
    x, y, z = (take(pool, n) for n in (1 << 17, 1 << 18, 1 << 19))
    del y
    take(pool, 1 << 16)
    take(pool, 1 << 16)
    del x, z
    pool.set_limit((1 << 17) + (1 << 19))
    assert pool.kept == pool.total == (1 << 17) + (1 << 19)
    take(pool, 1 << 17)
    assert pool.misses == 4
    take(pool, 1 << 18)
    assert pool.misses == 5


def test_a_limit_holds():
    pool = Pool()
    pool.set_limit(200_000)
    alive = [take(pool, 100_000) for _ in range(5)]
    assert pool.total >= 500_000
    del alive
    assert 100_000 <= pool.kept == pool.total <= 200_000
    pool.set_limit(0)
    assert pool.kept == pool.total == 0
    take(pool, 100_000)
    assert pool.kept == 0


def test_release():
    pool = Pool()
    x, y = take(pool, 1 << 20), take(pool, 1 << 18)
    x.fill(7)
    del y
    pool.release()
    assert pool.kept == 0 and pool.total == pool.peak == 1 << 20 and (x == 7).all()
    del x
    assert pool.kept == 1 << 20


def test_memory_that_is_not_there():
    pool = Pool()
    with pytest.raises(MemoryError, match="no memory for an array of"):
        take(pool, 1 << 60)
    assert pool.total == 0


def test_no_two_arrays_of_several_threads_share_memory():
    pool, wrong = Pool(), []

    def work(number):
        rng = np.random.default_rng(number)
        alive = []
        for _ in range(400):
            x = take(pool, int(rng.integers(1, 4)) * 70_000)
            x.fill(number)
            alive.append(x[rng.integers(0, 9) :])
            if len(alive) > 8:
                old = alive.pop(int(rng.integers(0, 9)))
                wrong.extend(old[old != number])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and pool.kept == pool.total


def test_an_array_may_die_in_the_midst_of_the_pools_own_work():
    pool = Pool()

    def churn():
        for _ in range(50):
            ring = [take(pool, 100_000), take(pool, 200_000)]
            ring.append(ring)

    before = gc.get_threshold()
    gc.set_threshold(1)  # the collector runs at every allocation
    try:
        churn()
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert pool.kept == pool.total > 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_its_own_memory():
    x = memory.empty(1 << 17, np.uint8)
    x.fill(1)
    child = os.fork()
    if not child:
        x.fill(2)
        y = memory.zeros(1 << 17, np.uint8)
        del x
        os._exit(0 if not y.any() else 1)
    assert os.waitpid(child, 0)[1] == 0 and (x == 1).all()


def test_the_interpreter_ends_quietly():
    code = (
        "import numpy as np\n"
        "from tinycnn.kernels.cpu import memory\n"
        "class Late:\n"
        "    def __del__(self):\n"
        "        memory_empty(1 << 17, np.uint8)\n"
        "memory_empty = memory.empty\n"
        "late, alive = Late(), memory.empty(1 << 17, np.uint8)\n"
        "ring = [memory.empty(1 << 18, np.uint8)]\n"
        "ring.append(ring)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
