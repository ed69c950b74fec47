"""nn.utils and the rarer initial weights."""

import math

import numpy as np
import pytest

import tinycnn as t
from tinycnn import nn
from tinycnn.nn import init
from tinycnn.nn.utils import (
    clip_grad_norm_,
    clip_grad_value_,
    fuse_conv_bn_eval,
    get_total_norm,
    parameters_to_vector,
    vector_to_parameters,
)


def with_grads(*rows):
    params = []
    for row in rows:
        p = nn.Parameter(t.zeros(len(row)))
        p.grad = t.tensor(row)
        params.append(p)
    return [*params, nn.Parameter(t.zeros(2))]


@pytest.mark.parametrize(("order", "norm"), [(2, 13.0), (1, 19.0), (math.inf, 12.0)])
def test_norms_are_clipped(order, norm):
    params = with_grads([3.0, 4.0], [12.0])
    assert clip_grad_norm_(params, 100.0, order).item() == norm and params[1].grad.item() == 12
    assert clip_grad_norm_(iter(params), 1.0, order).item() == norm
    assert get_total_norm([p.grad for p in params[:2]], order).item() == pytest.approx(1.0, rel=1e-5)
    assert params[0].grad.tolist() == pytest.approx([3 / norm, 4 / norm], rel=1e-5)


def test_norms_that_are_not_finite_and_single_tensors():
    params = with_grads([math.nan])
    with pytest.raises(RuntimeError, match="nan"):
        clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert math.isnan(clip_grad_norm_(params[0], 1.0).item())
    assert clip_grad_norm_([], 1.0).item() == 0


def test_values_are_clipped():
    params = with_grads([3.0, -4.0])
    clip_grad_value_(params, 3.5)
    assert params[0].grad.tolist() == [3.0, -3.5]


def test_parameters_as_a_vector():
    model = nn.Linear(3, 2)
    vector = parameters_to_vector(model.parameters())
    assert vector.shape == (8,) and vector.requires_grad
    vector_to_parameters(vector.detach() * 2, model.parameters())
    assert np.array_equal(parameters_to_vector(model.parameters()).detach().numpy(), 2 * vector.detach().numpy())
    with pytest.raises(ValueError, match="7 elements for parameters with 8"):
        vector_to_parameters(vector.detach()[1:], model.parameters())


def test_convolution_and_batch_norm_as_one():
    t.manual_seed(0)
    conv, bn = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
    bn(conv(t.randn(4, 2, 6, 6)) * 2)
    with pytest.raises(ValueError, match="eval"):
        fuse_conv_bn_eval(conv, bn)
    x = t.randn(2, 2, 5, 5)
    fused = fuse_conv_bn_eval(conv.eval(), bn.eval())
    np.testing.assert_allclose(fused(x).detach().numpy(), bn(conv(x)).detach().numpy(), atol=1e-6)


def test_rarer_initial_weights():
    assert init.eye_(t.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    w = init.dirac_(t.empty(4, 2, 3, 3), groups=2)
    x = t.randn(1, 2, 5, 5)
    assert np.array_equal(t.conv2d(x, w[:2], padding=1).numpy(), x.numpy()) and w.sum().item() == 4
    for shape in ((3, 5), (5, 3), (4, 2, 2, 2)):
        q = init.orthogonal_(t.empty(*shape), 2.0).numpy().reshape(shape[0], -1)
        product = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
        np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)
    assert (init.sparse_(t.empty(10, 4), 0.3) == 0).sum(0).tolist() == [3] * 4
    with pytest.raises(ValueError, match="empty"):
        init.uniform_(t.empty(2), 1.0, 0.0)
    with pytest.raises(ValueError, match="negative"):
        init.normal_(t.empty(2), std=-1.0)
    with pytest.warns(FutureWarning, match="xavier_normal_"):
        init.xavier_normal(t.empty(2, 2))
    for call in (
        lambda: init.eye_(t.empty(2)),
        lambda: init.dirac_(t.empty(2, 2)),
        lambda: init.sparse_(t.empty(2), 0.1),
    ):
        with pytest.raises(ValueError):
            call()
