"""The inputs and weights of the training runs that PyTorch and tinycnn both make, by NumPy alone.

Everything is computed from seeds, so that the golden file holds nothing but losses. The random numbers come from
`numpy.random.RandomState`, whose streams NumPy has promised never to change.

Max pooling and ReLU have kinks: where two values are nearly equal, rounding decides which way the gradient goes, and
the runs part by 1e-2 in float32 although nobody is wrong. So the seeds are such that no step comes near one:
make_golden.py disturbs the weights by 1e-7, twelve times, and prints how far PyTorch then is from itself.
"""

from __future__ import annotations

import numpy as np

STEPS = 100


def weights(shapes: list[tuple[int, ...]], seed: int) -> list[np.ndarray]:
    """Arrays for a list of parameter shapes, each layer's weight followed by its bias.

    With fan_in the weight's elements per output and b = 1/sqrt(fan_in), biases are uniform in [-b, b] and weights in
    [-sqrt(6) b, sqrt(6) b] (He et al., 2015), so that training moves from the first step.
    """
    random = np.random.RandomState(seed)
    result, bound = [], 0.0
    for shape in shapes:
        if len(shape) > 1:
            bound = float(np.prod(shape[1:])) ** -0.5
        gain = 6**0.5 if len(shape) > 1 else 1.0
        result.append(gain * random.uniform(-bound, bound, shape))
    return result


def digit_batches(size: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches of scikit-learn's digits in one random order, begun again at the end.

    Images are (N, 1, 32, 32), every pixel of the 8x8 original four times in each direction. A little noise keeps apart
    what would else be ties in max pooling, which rounding would break here one way and there the other.
    """
    from sklearn.datasets import load_digits

    grey, labels = load_digits(return_X_y=True)
    images = np.repeat(np.repeat(grey.reshape(-1, 1, 8, 8) / 16, 4, axis=2), 4, axis=3)
    random = np.random.RandomState(seed)
    order = random.permutation(len(images))
    images = images + random.normal(0, 0.1, images.shape)
    places = [order[np.arange(step * size, (step + 1) * size) % len(images)] for step in range(STEPS)]
    return [(images[place], labels[place].astype(np.int64)) for place in places]


def colour_batches(size: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches of made-up colour images (N, 3, 32, 32) of ten classes: a coarse pattern per class, and noise."""
    random = np.random.RandomState(seed)
    patterns = np.repeat(np.repeat(random.uniform(-1, 1, (10, 3, 8, 8)), 4, axis=2), 4, axis=3)
    batches = []
    for _ in range(STEPS):
        labels = random.randint(0, 10, size).astype(np.int64)
        batches.append((patterns[labels] + random.normal(0, 0.5, (size, 3, 32, 32)), labels))
    return batches


# name -> (batches, seed of the weights, learning rate, momentum)
RUNS = {
    "lenet": (lambda: digit_batches(64, 5), 4, 0.005, 0.9),
    "cifar": (lambda: colour_batches(4, 2), 3, 0.005, 0.9),
}
