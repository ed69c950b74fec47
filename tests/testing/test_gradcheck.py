"""The checker is checked: it must find mistakes that were made in other engines, and must not cry at kinks."""

import numpy as np
import pytest

import tinycnn
from tinycnn.autograd import Function
from tinycnn.kernels.geometry import conv_spec
from tinycnn.kernels.reference import conv as reference
from tinycnn.nn import functional as F
from tinycnn.testing import GradcheckError, gradcheck, gradgradcheck


def normal(*shape):
    return tinycnn.randn(
        *shape, dtype=tinycnn.float64, requires_grad=True, generator=tinycnn.Generator().manual_seed(7)
    )


def op(forward, backward):
    """A Function from two functions on arrays: forward(x) and backward(g, x)."""

    class Op(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return tinycnn.from_numpy(np.asarray(forward(x.array)))

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return tinycnn.from_numpy(np.asarray(backward(g.array, x.array)))

    return Op.apply


def convolution_input_grad(mutate):
    """conv2d in its input, whose gradient passes through `mutate(gy, w, spec)`."""
    w = np.random.default_rng(0).standard_normal((2, 1, 3, 3))
    spec = conv_spec((1, 1, 6, 6), w.shape, padding=1)
    return op(lambda x: reference.conv2d(x, w, None, spec), lambda g, x: mutate(g, w, spec))


@pytest.mark.parametrize("factor", [1.0, -1.0, 50.0, 1.01, 0.0])
def test_a_wrong_factor_is_found(factor):
    wrong = op(lambda x: x**2, lambda g, x: factor * 2 * x * g)
    if factor == 1.0:
        assert gradcheck(wrong, normal(3, 2))
    else:
        with pytest.raises(GradcheckError, match="input 0"):
            gradcheck(wrong, normal(3, 2))
        assert gradcheck(wrong, normal(3, 2), raise_exception=False) is False


def test_a_missing_flip_is_found():
    assert gradcheck(convolution_input_grad(reference.conv2d_input_grad), normal(1, 1, 6, 6))
    unflipped = convolution_input_grad(lambda g, w, spec: reference.conv2d_input_grad(g, w[..., ::-1, ::-1], spec))
    with pytest.raises(GradcheckError):
        gradcheck(unflipped, normal(1, 1, 6, 6))


def test_assigning_where_windows_overlap_is_found():
    def scatter(g, add):
        out = np.zeros(6)
        for i in range(5):
            out[i : i + 2] = out[i : i + 2] * add + g[i]
        return out

    right = op(lambda x: x[:-1] + x[1:], lambda g, x: scatter(g, True))
    wrong = op(lambda x: x[:-1] + x[1:], lambda g, x: scatter(g, False))
    assert gradcheck(right, normal(6))
    with pytest.raises(GradcheckError):
        gradcheck(wrong, normal(6))


def test_a_padding_off_by_one_is_found():
    shifted = convolution_input_grad(lambda g, w, spec: np.roll(reference.conv2d_input_grad(g, w, spec), 1, axis=3))
    with pytest.raises(GradcheckError):
        gradcheck(shifted, normal(1, 1, 6, 6))


def test_one_wrong_entry_among_many_is_found_and_named():
    def backward(g, x):
        result = 2 * x * g
        result[3, 4] *= 1.5
        return result

    with pytest.raises(GradcheckError, match=r"input 0 at index \(3, 4\): backward gives \S+, finite differences"):
        gradcheck(op(lambda x: x**2, backward), normal(6, 7))
    with pytest.raises(GradcheckError, match="input 0 along random direction"):
        gradcheck(op(lambda x: x**2, backward), normal(6, 7), fast_mode=True)


def test_the_worst_entry_is_the_one_that_is_named():
    factors = np.array([1.0, 1.2, 0.5, 1.1])
    wrong = op(lambda x: x.copy(), lambda g, x: g * factors)
    with pytest.raises(GradcheckError, match=r"input 1 at index \(2,\): .*they differ by \S+, allowed"):
        gradcheck(lambda a, x: a * wrong(x), (normal(4).detach(), normal(4)))


def test_a_wrong_second_derivative_is_found():
    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return tinycnn.from_numpy(x.array**3)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x.detach() ** 2  # right, but cut off from x

    assert gradcheck(Cube.apply, normal(4))
    with pytest.raises(GradcheckError):
        gradgradcheck(Cube.apply, normal(4))
    assert gradgradcheck(lambda x: x**3, normal(4))


def test_a_gradient_that_is_left_out_must_be_zero():
    dropped = op(lambda x: 3 * x, lambda g, x: np.zeros_like(x))
    with pytest.raises(GradcheckError):
        gradcheck(dropped, normal(3))
    assert gradcheck(lambda x, y: x * 1.0, (normal(3), normal(2)))


def test_kinks_are_left_out_and_too_many_are_refused():
    x = tinycnn.tensor([0.0, 1.0, -1.0, 2.0, 0.5], dtype=tinycnn.float64, requires_grad=True)
    assert gradcheck(tinycnn.relu, x) and gradcheck(tinycnn.abs, x)
    assert gradcheck(lambda x: F.max_pool2d(x, 2), normal(1, 1, 4, 4))
    with pytest.raises(GradcheckError, match="kink"):
        gradcheck(tinycnn.relu, tinycnn.zeros(4, dtype=tinycnn.float64, requires_grad=True))


def test_a_function_with_a_wrong_gradient_and_a_kink_is_still_refused():
    wrong = op(lambda x: np.abs(x), lambda g, x: -np.sign(x) * g)
    x = tinycnn.tensor([0.0, 1.0, -1.0, 2.0, 0.5], dtype=tinycnn.float64, requires_grad=True)
    with pytest.raises(GradcheckError):
        gradcheck(wrong, x)


def test_steep_and_curved_functions_pass():
    assert gradcheck(lambda x: (x * 3).exp() * 100, normal(4))
    assert gradcheck(lambda x: (x * 30) ** 3, normal(4))
    assert gradcheck(lambda x: (x * 20).sin(), normal(4))


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ValueError, match="float64"):
        gradcheck(tinycnn.exp, tinycnn.randn(3, requires_grad=True))
    with pytest.raises(ValueError, match="requires grad"):
        gradcheck(tinycnn.exp, tinycnn.randn(3, dtype=tinycnn.float64))
    with pytest.raises(ValueError, match="expand"):
        gradcheck(tinycnn.exp, tinycnn.randn(1, dtype=tinycnn.float64).expand(3).detach().requires_grad_())
    with pytest.raises(ValueError, match="no floating-point"):
        gradcheck(lambda x: x > 0, normal(3))


def test_a_function_that_changes_its_input_is_found():
    def careless(x):
        x.array[0] += 1
        return x * 2

    with pytest.raises(GradcheckError, match="in place"):
        gradcheck(careless, normal(3))


def test_several_outputs_views_and_empty_inputs():
    assert gradcheck(lambda x: (x * 2, x.sum(0)), normal(3, 2))
    assert gradcheck(lambda x: x[1:, ::-1], normal(3, 4)) and gradcheck(lambda x: x.T.reshape(2, 6), normal(3, 4))
    assert gradcheck(lambda x: x * 2, normal(0, 3))


def test_an_output_among_several_with_a_wrong_gradient_is_found():
    wrong = op(lambda x: x**2, lambda g, x: 3 * x * g)
    assert gradcheck(lambda x: (x.exp(), x**2), normal(3))
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: (x.exp(), wrong(x)), normal(3))


def test_a_tensor_given_twice_moves_in_both_places():
    x = normal(3)
    assert gradcheck(lambda a, b: a * b, (x, x))
    assert gradgradcheck(lambda a, b: a * b, (x, x))


def test_inputs_that_need_no_gradient_pass_through():
    index = tinycnn.tensor([2, 0])
    assert gradcheck(lambda x, i, scale, text: x[i] * scale, (normal(3), index, 2.5, "text"))
    with tinycnn.no_grad():
        assert gradcheck(lambda x, y: x * y, (normal(3), normal(3).detach()))


@pytest.mark.parametrize(
    "view", [lambda x: x.T, lambda x: x[::2, ::-1], lambda x: x[1:2], lambda x: x.permute(1, 0), lambda x: x[:0]]
)
def test_inputs_of_any_strides(view):
    x = view(normal(4, 3).detach()).requires_grad_()
    assert gradcheck(lambda x: x * x.exp(), x)
    if x.numel():
        with pytest.raises(GradcheckError):
            gradcheck(op(lambda x: x**2, lambda g, x: x * g), x)


def test_computed_inputs():
    x = normal(3)
    assert gradcheck(lambda y: y.exp(), x * 2)


def test_a_gradient_that_is_transposed_in_memory_order_is_found():
    """The mistake of an engine whose convolution was wrong for Fortran-ordered inputs."""
    wrong = op(lambda x: x**2, lambda g, x: (2 * g.ravel() * x.ravel(order="K")).reshape(x.shape))
    plain = normal(3, 4)
    assert gradcheck(wrong, plain)
    with pytest.raises(GradcheckError):
        gradcheck(wrong, plain.detach().T.contiguous().T.requires_grad_())


def test_functions_that_are_not_repeatable_are_named_so():
    rng = np.random.default_rng(0)
    noisy = op(lambda x: x + rng.standard_normal(x.shape), lambda g, x: g)
    with pytest.raises(GradcheckError, match="two calls"):
        gradcheck(noisy, normal(3))
    wavering = op(lambda x: x.copy(), lambda g, x: g * (1 + 1e-9 * rng.standard_normal(x.shape)))
    with pytest.raises(GradcheckError, match="two backward passes"):
        gradcheck(wavering, normal(3))
    assert gradcheck(wavering, normal(3), nondet_tol=1e-6)


def test_an_input_at_kinks_only_is_refused_however_large_the_others_are():
    kinked = tinycnn.zeros(2, dtype=tinycnn.float64, requires_grad=True)
    with pytest.raises(GradcheckError, match="2 of 2 differences in input 1 straddle a kink"):
        gradcheck(lambda x, y: x.exp().sum() + y.relu(), (normal(20), kinked))


def test_nan_is_no_gradient_at_a_kink_or_anywhere():
    x = tinycnn.tensor([0.0, 1.0, 2.0], dtype=tinycnn.float64, requires_grad=True)
    with np.errstate(invalid="ignore"):
        with pytest.raises(GradcheckError, match=r"index \(0,\): backward gives nan"):
            gradcheck(op(np.abs, lambda g, x: g * x / np.abs(x)), x)
    with pytest.raises(GradcheckError, match="nan"):
        gradcheck(op(lambda x: 3 * x, lambda g, x: g * np.nan), x)


def test_jumps_count_as_kinks():
    x = tinycnn.tensor([0.0, 1.0, 2.0, -3.0], dtype=tinycnn.float64, requires_grad=True)
    assert gradcheck(lambda x: tinycnn.sign(x) + 2 * x, x)
    assert gradcheck(lambda x: tinycnn.where(x > 0, x, x - 1), x)


def test_ties_of_maxima():
    x = tinycnn.tensor([[1.0, 1.0, 0.0, -1.0, 2.0, 3.0]], dtype=tinycnn.float64, requires_grad=True)
    assert gradcheck(lambda x: x.max(1)[0] + x.sum(), x) and gradcheck(lambda x: x.amax(), x)
    image = tinycnn.tensor(np.arange(16.0).reshape(1, 1, 4, 4), requires_grad=True)
    with tinycnn.no_grad():
        image[0, 0, 0, 0] = 5.0  # the window's winner (1, 1) has company
    assert gradcheck(lambda x: F.max_pool2d(x, 2), image)


def test_raise_exception_false_never_raises_a_gradcheck_error():
    def careless(x):
        x.array[0] += 1
        return x * 2

    assert gradcheck(careless, normal(3), raise_exception=False) is False
    assert gradcheck(tinycnn.relu, normal(3).detach().zero_().requires_grad_(), raise_exception=False) is False
    assert gradgradcheck(lambda x: x**3, normal(3), raise_exception=False) is True


def test_gradients_of_gradients_with_given_and_random_gradients():
    assert gradgradcheck(lambda x: (x**3, x.exp()), normal(3))
    assert gradgradcheck(lambda x: x**3, normal(3), grad_outputs=normal(3))
    assert gradgradcheck(lambda x: 2 * x, normal(3))  # linear: the second derivative is 0
    missing = op(lambda x: x**2, lambda g, x: 2 * x * g)  # computes on arrays: no graph behind its gradient
    with pytest.raises(GradcheckError):
        gradgradcheck(missing, normal(3))


def test_loose_and_tight_tolerances():
    slightly = op(lambda x: x**2, lambda g, x: 2.01 * x * g)
    assert gradcheck(slightly, normal(4), rtol=0.1)
    with pytest.raises(GradcheckError):
        gradcheck(slightly, normal(4))
