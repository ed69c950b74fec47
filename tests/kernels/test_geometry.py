"""The output-size formula, against window positions counted one by one; what is refused, by rules of the test's own."""

import re

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tinycnn.kernels.geometry import GeometryError, conv_spec, output_size, pool_spec, remembered


def positions(size, kernel, stride, before, behind, dilation, ceil_mode=False):
    """How often the window fits, found by pushing it along the padded axis."""
    length, extent = before + size + behind, 1 + sum(dilation for _ in range(kernel - 1))
    count = start = 0
    while True:
        over = start + extent - length
        # ceil_mode also keeps a window that hangs over by less than a step, if it begins on the image or before it
        if not (over < stride and start < before + size if ceil_mode else over <= 0):
            return count
        count, start = count + 1, start + stride


def mostly(*legal, illegal=(0, -1)):
    """One of `legal`, now and then one of `illegal`."""
    return st.sampled_from([*legal] * 12 + [*illegal])


@st.composite
def axes(draw):
    """(size, kernel, stride, padding, dilation), of which every third just fits or just does not."""
    kernel, stride, dilation = draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    padding = draw(st.integers(0, 4))
    size = draw(st.integers(1, 14))
    if draw(st.integers(0, 2)) == 0:
        size = max(dilation * (kernel - 1) + 1 - 2 * padding + draw(st.integers(-1, 1)), 1)
    return size, kernel, stride, padding, dilation


# the same with values in between that are refused whatever the window
ROUGH = st.tuples(
    mostly(4, 5, 9), mostly(1, 2, 3, 4), mostly(1, 2), mostly(0, 1, illegal=(-1,)), mostly(1, 2, illegal=(0, -1))
)


# -- the formula ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation", "expected"),
    [
        (7, 3, 1, 0, 1, 5),
        (7, 3, 2, 0, 1, 3),
        (7, 3, 1, 1, 1, 7),
        (4, 2, 2, 1, 1, 3),  # a lecture prints 2; the window stands at -1, 1 and 3
        (4, 2, 1, 0, 3, 1),  # a dilated window exactly as long as the image
        (32, 5, 1, 0, 1, 28),
        (227, 11, 4, 0, 1, 55),
        (1, 1, 1, 0, 1, 1),
    ],
)
def test_textbook_sizes(size, kernel, stride, padding, dilation, expected):
    assert output_size(size, kernel, stride, padding, dilation) == expected
    assert positions(size, kernel, stride, padding, padding, dilation) == expected


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "floor", "ceil"),
    [
        (6, 3, 2, 0, 2, 3),
        (5, 2, 2, 0, 2, 3),
        (4, 2, 2, 0, 2, 2),
        (3, 2, 2, 1, 2, 2),  # a third window would start in the padding behind
        (4, 1, 3, 0, 2, 2),
        (5, 3, 3, 1, 2, 2),
        (2, 3, 2, 0, 0, 1),  # a window larger than the image
    ],
)
def test_ceil_mode_sizes(size, kernel, stride, padding, floor, ceil):
    assert output_size(size, kernel, stride, padding, ceil_mode=True) == ceil
    assert pool_spec((1, 1, size, size), kernel, stride, padding, 1, True).output_size == (ceil, ceil)
    if floor:
        assert output_size(size, kernel, stride, padding) == floor


@given(axes(), st.integers(0, 4))
def test_output_size_counts_window_positions(axis, behind):
    size, kernel, stride, before, dilation = axis
    expected = positions(size, kernel, stride, before, behind, dilation)
    if expected:
        assert output_size(size, kernel, stride, (before, behind), dilation) == expected
    else:
        with pytest.raises(GeometryError, match="must be at least 1"):
            output_size(size, kernel, stride, (before, behind), dilation)


# -- convolution ------------------------------------------------------------------------------------------------------


@given(
    rows=st.one_of(axes(), ROUGH),
    columns=axes(),
    batch=st.integers(0, 3),
    channels=st.tuples(mostly(1, 2, 3, illegal=(0,)), mostly(1, 2, 3, illegal=(0,)), mostly(1, 2, 3)),
    surplus=mostly(0, illegal=(1, 2)),
)
@example(rows=(4, 2, 1, 0, 3), columns=(4, 2, 1, 0, 3), batch=1, channels=(1, 1, 1), surplus=0)
@example(rows=(4, 5, 1, 0, 1), columns=(9, 3, 1, 0, 1), batch=1, channels=(1, 1, 1), surplus=0)
def test_conv_spec_is_legal_exactly_when_windows_fit(rows, columns, batch, channels, surplus):
    per_group, filters_per_group, groups = channels
    inputs, outputs = per_group * groups + surplus, filters_per_group * groups
    (h, kh, sh, ph, dh), (w, kw, sw, pw, dw) = rows, columns
    image, weight = (batch, inputs, h, w), (outputs, per_group, kh, kw)
    legal = (
        all(n >= 1 for n in (per_group, filters_per_group, groups, h, w, kh, kw, sh, sw, dh, dw))
        and ph >= 0
        and pw >= 0
        and surplus == 0
    )
    counts = (positions(h, kh, sh, ph, ph, dh), positions(w, kw, sw, pw, pw, dw)) if legal else (0, 0)
    if legal and all(counts):
        spec = conv_spec(image, weight, (sh, sw), (ph, pw), (dh, dw), groups)
        assert spec.output_size == counts
        assert (spec.input_shape, spec.weight_shape) == (image, weight)
        assert spec.output_shape == (batch, outputs, *counts)
        assert spec.padding == ((ph, ph), (pw, pw)) and spec.stride == (sh, sw) and spec.dilation == (dh, dw)
        assert spec.groups == groups
    else:
        with pytest.raises(GeometryError, match="^convolve: "):
            conv_spec(image, weight, (sh, sw), (ph, pw), (dh, dw), groups, "convolve")


def test_error_text_shows_the_formula_with_its_numbers():
    with pytest.raises(GeometryError) as caught:
        conv_spec((1, 1, 4, 9), (1, 1, 5, 5))
    assert str(caught.value) == (
        "conv2d: output height = floor((4 + 2*0 - 1*(5-1) - 1)/1 + 1) = 0, must be at least 1 "
        "(input 4, kernel 5, stride 1, padding 0, dilation 1); the smallest padding that works is 1"
    )
    formula = r"max_pool2d: output width = ceil\(\(2 \+ 2\*1 - 3\*\(4-1\) - 1\)/2 \+ 1\) = -2, must be at least 1 "
    with pytest.raises(GeometryError, match=formula):
        pool_spec((1, 1, 30, 2), 4, 2, 1, 3, True)


def test_errors_are_both_value_and_runtime_errors():
    for kind in (ValueError, RuntimeError):
        with pytest.raises(kind):
            conv_spec((1, 1, 4, 4), (1, 1, 5, 5))


@given(axes())
def test_advice_of_a_convolution_is_the_smallest_padding_that_works(axis):
    size, kernel, stride, padding, dilation = axis
    assume(not positions(size, kernel, stride, padding, padding, dilation))
    with pytest.raises(GeometryError) as caught:
        conv_spec((1, 1, 99, size), (1, 1, 1, kernel), stride, (0, padding), dilation)
    advised = int(re.search(r"the smallest padding that works is (\d+)$", str(caught.value))[1])
    assert positions(size, kernel, stride, advised, advised, dilation)
    assert not positions(size, kernel, stride, advised - 1, advised - 1, dilation)


def test_same_padding_keeps_the_size_and_puts_the_odd_one_behind():
    for kernel in range(1, 7):
        for dilation in range(1, 4):
            spec = conv_spec((2, 3, 5, 8), (4, 3, kernel, 3), padding="same", dilation=dilation)
            total = dilation * (kernel - 1)
            assert spec.output_size == (5, 8)
            assert spec.padding == ((total // 2, total - total // 2), (dilation, dilation))
    with pytest.raises(GeometryError, match="stride 1"):
        conv_spec((1, 1, 5, 5), (1, 1, 3, 3), (1, 2), "same")
    assert conv_spec((1, 1, 5, 5), (1, 1, 3, 3), 2, "valid").output_size == (2, 2)
    with pytest.raises(GeometryError, match="'same' or 'valid', got 'full'"):
        conv_spec((1, 1, 5, 5), (1, 1, 3, 3), padding="full")


def test_number_of_weights():
    spec = conv_spec((1, 3, 32, 32), (64, 3, 5, 5))
    assert np.prod(spec.weight_shape) == 4800
    assert conv_spec((1, 8, 9, 9), (16, 1, 3, 3), groups=8).weight_shape == (16, 1, 3, 3)  # depthwise


@pytest.mark.parametrize(
    ("image", "weight", "groups", "words"),
    [
        ((3, 8, 8), (4, 3, 3, 3), 1, r"expected a 4-D input \(N, C, H, W\).*got 3-D of shape \(3, 8, 8\)"),
        ((1, 3, 8, 8), (4, 3, 3), 1, "expected a 4-D weight .*got 3-D"),
        ((1, 3, 8, 8), (4, 1, 3, 3), 1, "expects 1 input channels.* has 3"),
        ((1, 3, 8, 8), (4, 1, 3, 3), 2, "groups = 2 must divide the 3 input channels"),
        ((1, 4, 8, 8), (3, 2, 3, 3), 2, "groups = 2 must divide .* the 3 filters"),
        ((1, 0, 8, 8), (4, 1, 3, 3), 1, "only the batch size of the input may be 0"),
        ((1, 1, 8, 0), (4, 1, 3, 3), 1, "only the batch size of the input may be 0"),
        ((1, 1, 8, 8), (0, 1, 3, 3), 1, "no size of the weight may be 0"),
        ((1, 1, 8, 8), (4, 1, 0, 3), 1, "no size of the weight may be 0"),
        ((-1, 1, 8, 8), (4, 1, 3, 3), 1, "must be at least 0, got -1"),
    ],
)
def test_shapes_that_are_refused(image, weight, groups, words):
    with pytest.raises(GeometryError, match=f"^conv2d: .*{words}"):
        conv_spec(image, weight, groups=groups)


# -- pooling ----------------------------------------------------------------------------------------------------------


@given(
    rows=axes(),
    columns=st.one_of(axes(), ROUGH),
    ceil_mode=st.booleans(),
)
@example(rows=(4, 2, 1, 0, 3), columns=(3, 2, 2, 1, 1), ceil_mode=True)
@example(rows=(1, 2, 1, 1, 2), columns=(1, 2, 1, 1, 2), ceil_mode=False)
def test_pool_spec_is_legal_exactly_when_windows_fit(rows, columns, ceil_mode):
    (h, kh, sh, ph, dh), (w, kw, sw, pw, dw) = rows, columns
    legal = all(n >= 1 for n in (*rows[:3], *columns[:3], dh, dw)) and 0 <= 2 * ph <= kh and 0 <= 2 * pw <= kw
    counts = (0, 0)
    if legal:
        counts = positions(h, kh, sh, ph, ph, dh, ceil_mode), positions(w, kw, sw, pw, pw, dw, ceil_mode)
    if legal and all(counts):
        spec = pool_spec((2, 3, h, w), (kh, kw), (sh, sw), (ph, pw), (dh, dw), ceil_mode)
        assert spec.output_size == counts and spec.output_shape == (2, 3, *counts)
        assert spec.input_shape == (2, 3, h, w) and spec.padding == (ph, pw) and spec.ceil_mode is ceil_mode
        assert all((n - 1) * s < size + p for n, s, size, p in zip(counts, (sh, sw), (h, w), (ph, pw), strict=True))
    else:
        with pytest.raises(GeometryError, match="^max_pool2d: "):
            pool_spec((2, 3, h, w), (kh, kw), (sh, sw), (ph, pw), (dh, dw), ceil_mode)


@given(axes(), st.booleans())
def test_advice_of_a_pooling_is_legal_or_says_that_nothing_is(axis, ceil_mode):
    size, kernel, stride, _, dilation = axis
    assume(not positions(size, kernel, stride, 0, 0, dilation, ceil_mode))
    with pytest.raises(GeometryError) as caught:
        pool_spec((1, 1, size, 99), (kernel, 1), stride, 0, (dilation, 1), ceil_mode)
    works = [p for p in range(kernel // 2 + 1) if positions(size, kernel, stride, p, p, dilation, ceil_mode)]
    advised = re.search(r"the smallest padding that works is (\d+)$", str(caught.value))
    if works:
        assert int(advised[1]) == works[0]
    else:
        assert advised is None and "use a smaller kernel" in str(caught.value)


def test_padding_of_more_than_half_the_kernel_is_refused():
    with pytest.raises(GeometryError, match="must be at most half the kernel, 1 for a kernel width of 3, got 2"):
        pool_spec((1, 1, 9, 9), 3, 1, (1, 2), 3)  # the dilation does not count, as in PyTorch


def test_stride_defaults_to_the_kernel_size():
    spec = pool_spec((1, 1, 9, 9), (3, 2))
    assert spec.stride == (3, 2) and spec.output_size == (3, 4)
    assert pool_spec((1, 1, 9, 9), (3, 2), ()) is spec


# -- arguments --------------------------------------------------------------------------------------------------------


def test_equal_arguments_give_the_same_spec():
    spec = conv_spec((1, 2, 9, 9), (4, 2, 3, 3), 2, 1)
    same = conv_spec([1, 2, 9, 9], [np.int64(4), 2, 3, 3], [2, 2], (np.int32(1), 1), np.uint8(1), np.int64(1))
    assert same is spec and hash(same) == hash(spec)
    assert all(type(n) is int for n in (*same.weight_shape, *same.stride, *same.padding[0], same.groups))
    assert pool_spec([1, 2, 9, 9], [np.int64(2)]) is pool_spec((1, 2, 9, 9), 2)


NO_INTS = [True, 1.0, np.True_, np.float32(1), "1", None, b"1", {1: 1}, [[1], [1]], (1, 1.0), (True, 1), np.ones(2)]


@pytest.mark.parametrize("value", NO_INTS)
@pytest.mark.parametrize("name", ["stride", "padding", "dilation", "groups", "kernel_size"])
def test_what_is_not_an_int_is_a_type_error(name, value):
    conv_spec((1, 1, 5, 5), (1, 1, 3, 3), 1, 1, 1, 1)  # equal to True and 1.0 as a key: it must not answer for them
    words = f"^[a-z_0-9]*: {name} must be"
    if name != "kernel_size" and not (name == "padding" and isinstance(value, str)):
        with pytest.raises(TypeError, match=words):
            conv_spec((1, 1, 5, 5), (1, 1, 3, 3), **{name: value})
    if name != "groups" and not (name == "stride" and value is None):
        with pytest.raises(TypeError, match=words):
            pool_spec((1, 1, 5, 5), **{"kernel_size": 2, name: value})


@pytest.mark.parametrize("shape", [5, None, "abcd", (1.0, 1, 5, 5), (1, True, 5, 5), (1, 1, [5], 5), {1: 2}])
def test_odd_shapes_are_type_errors(shape):
    conv_spec((1, 1, 5, 5), (1, 1, 3, 3))
    with pytest.raises(TypeError, match="^conv2d: "):
        conv_spec(shape, (1, 1, 3, 3))
    with pytest.raises(TypeError, match="^conv2d: "):
        conv_spec((1, 1, 5, 5), shape)
    with pytest.raises(TypeError, match="^max_pool2d: "):
        pool_spec(shape, 2)


@pytest.mark.parametrize("value", [(), (1, 2, 3), [0, 1], (1, -1), 0, -3, 2**31, 10**30])
def test_values_out_of_range(value):
    for name in ("stride", "dilation"):
        if (name, value) == ("stride", ()):
            continue
        with pytest.raises(GeometryError, match=f"{name} must be"):
            pool_spec((1, 1, 5, 5), 2, **{name: value})
    with pytest.raises(GeometryError, match="stride must be"):
        conv_spec((1, 1, 5, 5), (1, 1, 3, 3), value)


@pytest.mark.parametrize("value", [0, 1, None, "yes", np.True_])
def test_ceil_mode_must_be_a_bool(value):
    with pytest.raises(TypeError, match="ceil_mode must be True or False"):
        pool_spec((1, 1, 5, 5), 2, ceil_mode=value)


def test_enormous_windows_are_refused_at_once():
    with pytest.raises(GeometryError, match="the smallest padding that works is 499999998$"):
        conv_spec((1, 1, 5, 5), (1, 1, 10**9, 1))
    with pytest.raises(GeometryError, match="output height"):
        pool_spec((1, 1, 5, 5), 2**31 - 1, 1, 0, 2**31 - 1, True)


def test_what_is_remembered_is_not_taken_for_what_equals_it():
    spec_of, shapes = remembered(conv_spec), ((1, 1, 5, 5), (1, 1, 3, 3))
    stride, changing = (1, 1), [1, 1]
    spec = spec_of(shapes, stride)
    assert spec is spec_of(shapes, stride) and spec == conv_spec(*shapes, stride)
    assert spec_of(shapes, changing) == spec
    changing[0] = 2
    assert spec_of(shapes, changing) == conv_spec(*shapes, (2, 1))
    for illegal in (True, 1.0, (1, True), (1.0, 1)):
        with pytest.raises(TypeError, match="stride"):
            spec_of(shapes, illegal)


def test_what_is_remembered_stays_right_when_there_is_much_of_it():
    spec_of = remembered(conv_spec)
    for size in range(3, 5000):
        assert spec_of(((1, 1, size, 3), (1, 1, 3, 3)), 1).output_size == (size - 2, 1)
    assert spec_of(((1, 1, 3, 3), (1, 1, 3, 3)), 1).output_size == (1, 1)


def test_shapes_of_a_spec():
    spec = conv_spec((2, 6, 9, 8), (4, 3, 3, 2), 2, 1, groups=2)
    assert spec.input_shape == (2, 6, 9, 8) and spec.weight_shape == (4, 3, 3, 2)
    assert spec.output_shape == (2, 4, 5, 5)
    pool = pool_spec((2, 6, 9, 8), 2)
    assert pool.input_shape == (2, 6, 9, 8) and pool.output_shape == (2, 6, 4, 4)
