"""Taken over."""

from ..reference.pool import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad, max_pool2d_take

__all__ = ['avg_pool2d', 'avg_pool2d_grad', 'max_pool2d', 'max_pool2d_grad', 'max_pool2d_take']
