"""FractalNet."""

from __future__ import annotations

from .... import nn
from ...._tensor import Tensor
from ....composed.draw import rand, randint
from ....ops.shape import flatten


class FractalBlock(nn.Module):
    """Columns of convolutions of length 1, 2, 4, ... beside each other, joined by their mean wherever they meet.

    f1(x) = conv(x) and f(c+1)(x) = mean(conv(x), fc(fc(x))), where conv is conv 3x3, norm, ReLU. Columns are numbered
    from the deepest: after step i of 2**(columns - 1), column j ends a convolution if 2**j divides i, and all that end
    there are joined, except that those of the last step are the block's output.

    Args:
        in_channels, out_channels: of the block.
        columns: how many.
        drop_path: in training, the probability that a column is left out at a join; one always stays.
    """

    def __init__(self, in_channels: int, out_channels: int, columns: int, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.columns = nn.ModuleList()
        for column in range(columns):
            count = 2 ** (columns - 1 - column)
            layers = [
                nn.Sequential(
                    nn.Conv2d(in_channels if i == 0 else out_channels, out_channels, 3, padding=1, bias=False),
                    nn.BatchNorm2d(out_channels),
                    nn.ReLU(),
                )
                for i in range(count)
            ]
            self.columns.append(nn.ModuleList(layers))

    def join(self, outputs: list[Tensor]) -> Tensor:
        """The mean of those that drop-path leaves."""
        if self.training and self.drop_path:
            drawn = rand((len(outputs),)).tolist()
            outputs = [o for o, r in zip(outputs, drawn, strict=True) if r >= self.drop_path] or [
                outputs[drawn.index(max(drawn))]
            ]
        total = outputs[0]
        for other in outputs[1:]:
            total = total + other
        return total / len(outputs) if len(outputs) > 1 else total

    def forward(self, x: Tensor, only: int | None = None) -> Tensor:
        """With `only`, the output of that column alone (the paper's global drop-path)."""
        if only is not None:
            for layer in self.columns[only]:
                x = layer(x)
            return x
        states = [x] * len(self.columns)
        for step in range(1, len(self.columns[0]) + 1):
            ending = [j for j in range(len(self.columns)) if step % 2**j == 0]
            joined = self.join([self.columns[j][step // 2**j - 1](states[j]) for j in ending])
            for j in ending:
                states[j] = joined
        return states[0]


class FractalNet(nn.Module):
    """Larsson, Maire, Shakhnarovich, "FractalNet: ultra-deep neural networks without residuals", ICLR 2017.

    `FractalBlock` s with max pools 2x2 after each, then a linear layer: 20 convolutions deep with three columns, 40
    with four. 33,724,618 parameters, 845 M MACs with the defaults. Images (N, 3, 32, 32) to logits (N, num_classes).

    With widths (16, 32, 64, 128, 128), one to six columns and 100 classes these are the nets of the paper's table 3, of
    0.3, 0.8, 2.1, 4.8, 10.2 and 21.1 M parameters. For the wide net with three columns 38.6 M are printed (table 2 of
    the DenseNet paper); what makes the difference, the papers do not say.

    In training half of the batches run with one column throughout, chosen at random; the others with local drop-path.

    Args:
        columns: of each block; the depth is len(widths) * 2**(columns - 1).
        widths: channels of the blocks.
        drop_path: probability that an input of a join is left out; 0 switches both kinds of drop-path off.
        dropout: after each block; 0, 0.1, 0.2, ... if None.
        num_classes: logits.
    """

    def __init__(
        self,
        columns: int = 3,
        widths: tuple[int, ...] = (64, 128, 256, 512, 512),
        drop_path: float = 0.15,
        dropout: tuple[float, ...] | None = None,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        self.drop_path = drop_path
        rates = dropout if dropout is not None else tuple(i / 10 for i in range(len(widths)))
        channels = (3, *widths)
        self.blocks = nn.ModuleList(
            FractalBlock(channels[i], width, columns, drop_path) for i, width in enumerate(widths)
        )
        self.after = nn.ModuleList(nn.Sequential(nn.Dropout(rate), nn.MaxPool2d(2)) for rate in rates)
        self.linear = nn.Linear(widths[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor, column: int | None = None) -> Tensor:
        """Images (N, 3, 32, 32) to logits (N, num_classes); with `column`, of that column alone (0 is the deepest)."""
        if column is None and self.training and self.drop_path and rand(()).item() < 0.5:
            column = int(randint(len(self.blocks[0].columns), ()).item())
        for block, after in zip(self.blocks, self.after, strict=True):
            x = after(block(x, column))
        return self.linear(flatten(x, 1))
