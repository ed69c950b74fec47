"""Taken over."""

from ..reference.elementwise import abs, add, cos, div, eq, exp, ge, gt, le, log, lt, maximum, minimum, mul, ne, neg, pow, reciprocal, relu, relu_grad, sigmoid, sign, sin, sqrt, square, sub, tanh, where

__all__ = ['abs', 'add', 'cos', 'div', 'eq', 'exp', 'ge', 'gt', 'le', 'log', 'lt', 'maximum', 'minimum', 'mul', 'ne', 'neg', 'pow', 'reciprocal', 'relu', 'relu_grad', 'sigmoid', 'sign', 'sin', 'sqrt', 'square', 'sub', 'tanh', 'where']
