"""AlexNet as it won ImageNet's challenge of 2012: 227x227, groups for two GPUs, local response norm.

    python examples/history/alexnet_2012.py       prints its layers and checks the number of parameters

Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012. The paper
says 224x224; its layers come out only from 227x227.
"""

from __future__ import annotations

import tinycnn
from tinycnn import Tensor, nn

PARAMETERS = 60_965_224


def response_norm() -> nn.LocalResponseNorm:
    """Divides by (2 + 1e-4 * sum of squares over 5 channels)**0.75. PyTorch's alpha is divided by the 5 channels."""
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


class AlexNet2012(nn.Module):
    """Images (N, 3, 227, 227) to logits (N, num_classes); 60,965,224 parameters, 0.72 G MACs.

    =====  =======================================  ============  ==========
    layer  what                                     output        parameters
    =====  =======================================  ============  ==========
    conv1  96 filters 11x11 / 4, norm, pool 3x3/2   96 x 27 x 27      34,944
    conv2  256 of 5x5 in 2 groups, norm, pool       256 x 13 x 13    307,456
    conv3  384 of 3x3                               384 x 13 x 13    885,120
    conv4  384 of 3x3 in 2 groups                   384 x 13 x 13    663,936
    conv5  256 of 3x3 in 2 groups, pool             256 x 6 x 6      442,624
    fc6    linear, dropout                          4096          37,752,832
    fc7    linear, dropout                          4096          16,781,312
    fc8    linear: the logits                       1000           4,097,000
    =====  =======================================  ============  ==========
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc6 = nn.Linear(256 * 6 * 6, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, num_classes)
        self.norm = response_norm()
        self.pool = nn.MaxPool2d(3, stride=2)  # windows overlap
        self.dropout = nn.Dropout(0.5)
        ones = (self.conv2, self.conv4, self.conv5, self.fc6, self.fc7)
        for layer in self.children():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.normal_(layer.weight, 0, 0.01)
                nn.init.constant_(layer.bias, 1.0 if layer in ones else 0.0)  # early in training, ReLUs that are on

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[-2:]) != (227, 227):
            raise ValueError(f"AlexNet2012: images must be 227x227, got shape {tuple(x.shape)}")
        x = self.pool(self.norm(self.conv1(x).relu()))
        x = self.pool(self.norm(self.conv2(x).relu()))
        x = self.conv4(self.conv3(x).relu()).relu()
        x = self.pool(self.conv5(x).relu()).flatten(1)
        x = self.dropout(self.fc6(x).relu())
        x = self.dropout(self.fc7(x).relu())
        return self.fc8(x)


def main() -> None:
    tinycnn.manual_seed(0)
    model = AlexNet2012().eval()
    for name, layer in model.named_children():
        if count := sum(p.numel() for p in layer.parameters()):
            print(f"{name}  {layer}  {count:,} parameters")
    total = sum(p.numel() for p in model.parameters())
    assert total == PARAMETERS
    with tinycnn.no_grad():
        print(f"{total:,} parameters; logits {tuple(model(tinycnn.rand(1, 3, 227, 227)).shape)}")


if __name__ == "__main__":
    main()
