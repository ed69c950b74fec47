"""LeNet-5 as the paper of 1998 describes it, and what has been dropped since.

    python examples/history/lenet5_1998.py        trains it on the 1,797 digits that come with scikit-learn

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86(11), 1998.
`tinycnn.vision.models.LeNet5` has the sizes only. Here are the rest: the scaled tanh, subsampling with a trained factor
and bias, a C3 that sees chosen maps of S2, and an output that measures distances to drawings of the digits.
"""

from __future__ import annotations

import argparse

import numpy as np

import tinycnn
from tinycnn import Tensor, nn, optim
from tinycnn.nn import functional as F

# table I of the paper: which of the six maps of S2 each of the 16 maps of C3 sees
SEEN = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5)),
)

# the ten digits on 7x12 pixels, our own drawing in the manner of the paper's figure 3
DIGITS = """
.###... ...#... ..###.. #####.. ....#.. ######. ..###.. ######. ..###.. ..###..
#...#.. ..##... .#...#. ....#.. ...##.. #...... .#..... .....#. .#...#. .#...#.
#...#.. .#.#... .....#. ...#... ..#.#.. #...... #...... .....#. #.....# #.....#
#...#.. ...#... .....#. ..#.... .#..#.. #...... #...... ....#.. #.....# #.....#
#...#.. ...#... .....#. .###... .#..#.. #.###.. #.###.. ....#.. .#...#. #.....#
#...#.. ...#... ....#.. ....#.. #...#.. ##...#. ##...#. ...#... ..###.. .#...##
#...#.. ...#... ...#... .....#. #...#.. .....#. #.....# ...#... .#...#. ..###.#
#...#.. ...#... ..#.... .....#. ####### .....#. #.....# ..#.... #.....# ......#
#...#.. ...#... .#..... .....#. ....#.. .....#. #.....# ..#.... #.....# ......#
#...#.. ...#... #...... #....#. ....#.. #....#. #.....# .#..... #.....# .....#.
#...#.. ...#... #...... .#..#.. ....#.. .#..#.. .#...#. .#..... .#...#. ....#..
.###... .#####. ######. ..##... ....#.. ..##... ..###.. #...... ..###.. .###...
"""


def stored_patterns() -> Tensor:
    """The drawings as (10, 84): +1 for ink, -1 for paper."""
    rows = [row.split() for row in DIGITS.split("\n") if row]
    return tinycnn.tensor([[1.0 if c == "#" else -1.0 for row in rows for c in row[d]] for d in range(10)])


def squash(x: Tensor) -> Tensor:
    """1.7159 tanh(2x/3), which maps +-1 to +-1."""
    return 1.7159 * (x * (2 / 3)).tanh()


class Subsample(nn.Module):
    """squash(factor * (sum over 2x2) + bias), a factor and a bias for each map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(tinycnn.full((channels, 1, 1), 0.25))
        self.bias = nn.Parameter(tinycnn.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return squash(F.avg_pool2d(x, 2) * 4 * self.factor + self.bias)


class ChosenMaps(nn.Module):
    """C3: one 5x5 filter bank for each of the 16 maps, on those maps of its input that `SEEN` names."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.ModuleList(nn.Conv2d(len(seen), 1, 5) for seen in SEEN)

    def forward(self, x: Tensor) -> Tensor:
        return tinycnn.cat([f(x[:, list(seen)]) for f, seen in zip(self.filters, SEEN, strict=True)], 1)


class LeNet5Of1998(nn.Module):
    """Digits (N, 1, 32, 32) to squared distances (N, 10) from the stored patterns: the smallest names the digit.

    60,000 trained parameters: C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164; the patterns stay.
    """

    patterns: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.s2 = nn.Conv2d(1, 6, 5), Subsample(6)
        self.c3, self.s4 = ChosenMaps(), Subsample(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.register_buffer("patterns", stored_patterns())
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                bound = 2.4 / nn.init.fans(module.weight)[0]
                nn.init.uniform_(module.weight, -bound, bound)
                nn.init.uniform_(module.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        x = self.s2(squash(self.c1(x)))
        x = self.s4(squash(self.c3(x)))
        x = squash(self.c5(x)).flatten(1)
        x = squash(self.f6(x))
        return (x.unsqueeze(1) - self.patterns).square().sum(2)


def loss(distances: Tensor, labels: Tensor, j: float = 0.1) -> Tensor:
    """The paper's equation 9: the right distance should be small, the wrong ones not: d + log(e**-j + sum e**-d)."""
    right = distances.gather(1, labels.unsqueeze(1)).squeeze(1)
    rubbish = tinycnn.full((len(labels), 1), -j)
    return (right + tinycnn.cat([-distances, rubbish], 1).logsumexp(1)).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    from tinycnn.vision import datasets
    from tinycnn.vision.transforms import functional as TF

    tinycnn.manual_seed(0)
    model = LeNet5Of1998()
    print(f"{sum(p.numel() for p in model.parameters()):,} trained parameters")

    def images(part: datasets.Digits) -> Tensor:
        """White -0.1 and ink 1.175, so that the mean is about 0 and the variance about 1."""
        return TF.resize(part.data.unsqueeze(1), [32, 32]).float() / 255 * 1.275 - 0.1

    parts = [datasets.Digits(train=train) for train in (True, False)]
    x, y = images(parts[0]), parts[0].targets
    test_x, test_y = images(parts[1]), parts[1].targets.numpy()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    rng = np.random.default_rng(0)
    for epoch in range(1, args.epochs + 1):
        total, order = 0.0, rng.permutation(len(x))
        for begin in range(0, len(x), 64):
            chosen = tinycnn.tensor(order[begin : begin + 64])
            optimizer.zero_grad()
            value = loss(model(x[chosen]), y[chosen])
            value.backward()
            optimizer.step()
            total += value.item() * len(chosen)
        with tinycnn.no_grad():
            right = (model(test_x).argmin(1).numpy() == test_y).mean()
        print(f"epoch {epoch:2d}: loss {total / len(x):7.3f}, test accuracy {right:.2%}")


if __name__ == "__main__":
    main()
