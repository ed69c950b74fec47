"""Creation, random numbers and dtypes: what the table of operations cannot say."""

import numpy as np
import pytest

import tinycnn as t


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda: t.tensor(1.5), t.float32),
        (lambda: t.tensor(np.float64(1.5)), t.float64),
        (lambda: t.tensor([np.int32(1)]), t.int32),
        (lambda: t.tensor([True, 2]), t.int64),
        (lambda: t.tensor([t.tensor(1), t.tensor(2.5)]), t.float32),
        (lambda: t.zeros(2, dtype=float), t.float64),
        (lambda: t.full((2,), True), t.bool),
        (lambda: t.arange(3), t.int64),
        (lambda: t.arange(3.0), t.float32),
        (lambda: t.randint(3, (2,)), t.int64),
        (lambda: t.ones(2).int().new_full((2,), 3.5), t.int32),
        (lambda: t.LongTensor(2, 3), t.int64),
        (lambda: t.Tensor(2, 3), t.float32),
        (lambda: t.where(t.tensor([0, 1]))[0], t.int64),
    ],
)
def test_dtype(make, dtype):
    assert make().dtype is dtype


def test_small_negative_numbers_count_from_the_end_of_uint8():
    assert t.tensor([-1], dtype=t.uint8).tolist() == t.full((1,), -1, dtype=t.uint8).tolist() == [255]


def test_integers_are_counted_as_in_pytorch():
    assert t.arange(0.1, -7.9, -4.0, dtype=t.int64).tolist() == [0, -4]  # the bounds lose their fractions first
    assert t.arange(-0.9, 2.1, 2.0, dtype=t.uint8).tolist() == [0, 2]  # but the count does not, below 64 bits
    assert t.linspace(4.3, 0, 5, dtype=t.int64).tolist() == [4, 3, 2, 1, 0]


def test_sizes_and_numbers_make_different_tensors():
    assert t.Tensor(2, 3).shape == t.FloatTensor(2, 3).shape == t.Tensor(t.Size([2, 3])).shape == (2, 3)
    assert t.Tensor([2, 3]).tolist() == [2.0, 3.0]
    assert t.Tensor().shape == (0,)
    with pytest.raises(TypeError, match="sizes"):
        t.Tensor(2.0)


def test_old_names_are_types():
    assert isinstance(t.ones(2), t.FloatTensor)
    assert not isinstance(t.ones(2), t.LongTensor)
    assert t.ones(2).type() == "tinycnn.FloatTensor"


def test_limits():
    assert t.finfo(t.float32).eps == np.finfo(np.float32).eps
    assert t.finfo().dtype == "float32"
    assert (t.iinfo(t.int8).min, t.iinfo(t.uint8).max) == (-128, 255)
    with pytest.raises(TypeError, match="iinfo"):
        t.finfo(t.int8)
    with pytest.raises(TypeError, match="finfo"):
        t.iinfo(t.float32)


def test_promotion():
    assert t.result_type(t.tensor([1]), 1.5) is t.float32
    assert t.result_type(t.tensor([1], dtype=t.uint8), t.tensor(300)) is t.uint8
    assert t.can_cast(t.int64, t.uint8)
    assert not t.can_cast(t.float32, t.int64)
    with pytest.raises(TypeError, match="dtype"):
        t.promote_types(1, 2)


def test_moments_of_random_numbers():
    g = t.Generator().manual_seed(0)
    x = t.normal(3.0, 2.0, (20000,), generator=g)
    assert abs(x.mean().item() - 3) < 0.06
    assert abs(x.std().item() - 2) < 0.06
    assert abs(t.bernoulli(t.full((20000,), 0.3), generator=g).mean().item() - 0.3) < 0.02
    assert abs(t.empty(20000).uniform_(2, 4, generator=g).mean().item() - 3) < 0.03
    assert set(t.randint(2, 5, (200,), generator=g).tolist()) == {2, 3, 4}


@pytest.mark.parametrize("replacement", [True, False])
def test_multinomial_draws_in_proportion(replacement):
    g = t.Generator().manual_seed(0)
    first = t.multinomial(t.tensor([[1.0, 0.0, 3.0]]).expand(8000, 3), 1, replacement, generator=g)
    counts = np.bincount(first.numpy().ravel(), minlength=3) / 8000
    np.testing.assert_allclose(counts, [0.25, 0, 0.75], atol=0.02)


def test_multinomial_without_replacement_repeats_nothing():
    drawn = t.multinomial(t.ones(50, 6), 6)
    assert (drawn.sort(dim=1)[0] == t.arange(6)).all()


def test_the_same_seed_draws_the_same_numbers():
    draws = [t.multinomial(t.ones(9), 4, generator=t.Generator("cpu").manual_seed(5)).tolist() for _ in range(2)]
    assert draws[0] == draws[1]
    g = t.Generator()
    state = g.get_state()
    first = t.rand(3, generator=g)
    g.set_state(state)
    assert t.equal(first, t.rand(3, generator=g))


def test_random_numbers_in_place_are_guarded_like_every_write():
    with pytest.raises(RuntimeError, match="leaf"):
        t.ones(2, requires_grad=True).normal_()


def test_powers_of_integers_to_negative_powers():
    base, exponent = t.tensor([1, -1, -1, 2, 3]), t.tensor([-2, -3, -2, -1, 2])
    assert (base**exponent).tolist() == [1, -1, 1, 0, 9]
    assert (2 ** t.tensor([-1, 3])).tolist() == [0, 8]
    with pytest.raises(RuntimeError, match="negative power"):
        base**-1


def test_ints_beyond_int64_are_refused_not_rounded():
    for data in (2**63, -(2**63) - 1, 2**70, [1, 2**63], [[-1.5], [2**63]], (0, 2**70)):
        with pytest.raises(RuntimeError, match="tensor: .* does not fit into int64"):
            t.tensor(data)
    assert t.tensor([2**63 - 1, -(2**63)]).tolist() == [2**63 - 1, -(2**63)]
    assert t.tensor([1, 1e30, float("inf")]).dtype is t.float32
    assert t.tensor(2**63, dtype=t.float64).item() == 2.0**63
    for bounds in ((2**63,), (2**63 - 2, 2**63), (0, 2**70), (-(2**70), 0)):
        with pytest.raises(RuntimeError, match="arange: .* does not fit into int64"):
            t.arange(*bounds)
    assert t.arange(2**63 - 3, 2**63 - 1).tolist() == [2**63 - 3, 2**63 - 2]


def test_from_numpy_takes_the_numbers_of_a_kind_of_array_with_operators_of_its_own(tmp_path):
    class Matrix(np.ndarray):
        def __mul__(self, other):
            return self @ other

    matrix = np.array([[1.0, 2.0], [3.0, 4.0]]).view(Matrix)
    mapped = np.memmap(tmp_path / "numbers", np.float64, "w+", shape=(2, 2))
    for array in (matrix, mapped, np.ma.array(matrix, mask=[[True, False], [False, False]])):
        x = t.from_numpy(array)
        x[0, 0] = 5
        assert type(x.array) is np.ndarray and np.asarray(array)[0, 0] == 5 and "5., " in repr(x)
    assert (t.from_numpy(matrix) * t.from_numpy(matrix)).tolist() == [[25, 4], [9, 16]]
