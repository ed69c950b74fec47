"""What model files and training scripts written for PyTorch do, in small: each model here leans on some of it."""

import argparse
import copy
from collections import OrderedDict
from functools import partial

import numpy as np
import pytest

import tinycnn as torch
import tinycnn.backends.cudnn as cudnn
import tinycnn.nn as nn
import tinycnn.nn.functional as F
import tinycnn.optim as optim
from tinycnn import Tensor
from tinycnn.autograd import Variable
from tinycnn.optim.lr_scheduler import StepLR
from tinycnn.utils.data import DataLoader, TensorDataset


def conv3x3(inp, out, stride=1, groups=1):
    return nn.Conv2d(inp, out, kernel_size=3, stride=stride, padding=1, bias=False, groups=groups)


class Residual(nn.Module):
    """A block whose shortcut may be an empty Sequential, and which adds in place."""

    expansion = 2

    def __init__(self, inp, planes, stride=1):
        super(Residual, self).__init__()  # noqa: UP008  (the older way to call it)
        self.conv1, self.bn1 = conv3x3(inp, planes, stride), nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, self.expansion * planes, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes * self.expansion)
        self.shortcut = nn.Sequential()
        if stride != 1 or inp != self.expansion * planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inp, self.expansion * planes, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(self.expansion * planes),
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class ResidualNet(nn.Module):
    def __init__(self, block, blocks, classes=10):
        super().__init__()
        self.inp = 8
        self.conv1, self.bn1 = conv3x3(3, 8), nn.BatchNorm2d(8)
        self.layer1 = self._make_layer(block, 4, blocks[0], stride=1)
        self.layer2 = self._make_layer(block, 8, blocks[1], stride=2)
        self.linear = nn.Linear(8 * block.expansion * 4, classes)

    def _make_layer(self, block, planes, count, stride):
        layers = []
        for s in [stride] + [1] * (count - 1):
            layers.append(block(self.inp, planes, s))
            self.inp = planes * block.expansion
        return nn.Sequential(*layers)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer2(self.layer1(out))
        out = F.avg_pool2d(out, 2)
        out = out.view(out.size(0), -1)
        return self.linear(out)


class FromTable(nn.Module):
    """Layers made by walking over a table of numbers and letters."""

    table = [4, "M", 8, 8, "M"]

    def __init__(self):
        super().__init__()
        layers, inp = [], 3
        for entry in self.table:
            if entry == "M":
                layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            else:
                layers += [
                    nn.Conv2d(inp, entry, kernel_size=3, padding=1),
                    nn.BatchNorm2d(entry),
                    nn.ReLU(inplace=True),
                ]
                inp = entry
        layers += [nn.AvgPool2d(kernel_size=1, stride=1)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(OrderedDict([("drop", nn.Dropout(0.0)), ("fc", nn.Linear(8 * 16, 10))]))

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


class Branches(nn.Module):
    """Branches beside each other, joined along the channels."""

    def __init__(self):
        super().__init__()
        self.b1 = nn.Sequential(nn.Conv2d(3, 2, kernel_size=1), nn.BatchNorm2d(2), nn.ReLU(True))
        self.b2 = nn.Sequential(nn.Conv2d(3, 3, kernel_size=(1, 3), padding=(0, 1)), nn.ReLU(True))
        self.b3 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), nn.Conv2d(3, 3, kernel_size=1))
        self.linear = nn.Linear(8, 10)

    def forward(self, x):
        out = torch.cat([self.b1(x), self.b2(x), self.b3(x)], 1)
        return self.linear(out.mean([2, 3]))


class Dense(nn.Module):
    """Every layer sees all before it; a list of features is grown."""

    def __init__(self, growth=2):
        super().__init__()
        self.layers = nn.ModuleList([conv3x3(3 + i * growth, growth) for i in range(3)])
        self.norms = nn.ModuleDict({f"norm{i}": nn.BatchNorm2d(3 + i * growth) for i in range(3)})
        self.linear = nn.Linear(9, 10)

    def forward(self, x):
        features = [x]
        for i, layer in enumerate(self.layers):
            seen = torch.cat(features, dim=1)
            features.append(layer(F.relu(self.norms[f"norm{i}"](seen))))
        return self.linear(torch.cat(features, 1).view(x.shape[0], 9, -1).mean(-1))


class Shuffled(nn.Module):
    """Depthwise and grouped convolutions, a channel split and a channel shuffle."""

    def __init__(self, groups=2):
        super().__init__()
        self.groups = groups
        self.expand = nn.Conv2d(3, 8, 1, bias=False)
        self.depth = nn.Conv2d(4, 4, 3, stride=1, padding=1, groups=4, bias=False)
        self.point = nn.Conv2d(8, 8, 1, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 10)

    def shuffle(self, x):
        n, c, h, w = x.size()
        g = self.groups
        return x.view(n, g, int(c / g), h, w).permute(0, 2, 1, 3, 4).reshape(n, c, h, w)

    def forward(self, x):
        x = self.expand(x)
        c = int(x.size(1) * 0.5)
        left, right = x[:, :c, :, :], x[:, c:, :, :]
        first, _ = x.chunk(2, dim=1)
        out = torch.cat([left + 0 * first, self.depth(right)], 1)
        out = self.shuffle(F.relu(self.bn(self.point(out))))
        out = F.avg_pool2d(out, out.size()[2:]) if isinstance(out.size(), tuple) else out
        return self.linear(out.view(-1, 8))


def swish(x):
    return x * x.sigmoid()


class Squeezed(nn.Module):
    """Squeeze and excitation by 1x1 convolutions, swish, a random drop of whole samples."""

    def __init__(self, act=swish):
        super().__init__()
        self.conv, self.bn = conv3x3(3, 8, stride=2), nn.BatchNorm2d(8, eps=1e-3, momentum=0.01)
        self.se1, self.se2 = nn.Conv2d(8, 2, kernel_size=1), nn.Conv2d(2, 8, kernel_size=1)
        self.linear = nn.Linear(8, 10)
        self.act = act
        self.scale = nn.Parameter(1e-1 * torch.ones(8, 1, 1), requires_grad=True)

    def drop(self, x, rate):
        keep = 1 - rate
        mask = torch.rand([x.size(0), 1, 1, 1], dtype=x.dtype, device=x.device) < keep
        return x.div(keep) * mask

    def forward(self, x):
        out = self.act(self.bn(self.conv(x)))
        w = F.avg_pool2d(out, out.size(2))
        w = self.se2(self.act(self.se1(w))).sigmoid()
        out = out + self.scale * (out * w)
        if self.training:
            out = self.drop(out, 0.0)
        return self.linear(out.sum((2, 3)) / (out.size(2) * out.size(3)))


class Tree(nn.Module):
    """Submodules under names made at run time."""

    def __init__(self, depth):
        super().__init__()
        self.depth = depth
        for i in range(depth):
            self.__setattr__(f"level_{i}", conv3x3(3, 3))
        self.add_module("head", nn.Linear(3, 10))
        self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x - self.mean
        outs = []
        for i in range(self.depth):
            x = self.__getattr__(f"level_{i}")(x)
            outs.append(x)
        return self.head(torch.stack(outs).sum(0).flatten(2).mean(2))


def init_all(model):
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            if m.bias is not None:
                nn.init.constant_(m.bias, 0)
        elif isinstance(m, (nn.BatchNorm2d,)):
            m.weight.data.fill_(1)
            m.bias.data.zero_()
        elif isinstance(m, nn.Linear):
            m.weight.data.normal_(0, 0.01)


MODELS = {
    "residual": partial(ResidualNet, Residual, [2, 1]),
    "table": FromTable,
    "branches": Branches,
    "dense": Dense,
    "shuffle": Shuffled,
    "squeeze": Squeezed,
    "tree": partial(Tree, 2),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_computes_trains_and_saves(name, tmp_path):
    torch.manual_seed(0)
    net = MODELS[name]()
    init_all(net)
    x, y = torch.randn(4, 3, 8 if name == "residual" else 16, 8 if name == "residual" else 16), torch.arange(4)
    net.double()
    out = net(x.double())
    assert out.shape == (4, 10) and out.dtype is torch.float64
    loss = nn.CrossEntropyLoss()(out, y)
    loss.backward()
    parameters = [(n, p) for n, p in net.named_parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for _, p in parameters)
    # the gradient is the slope, along a random direction
    directions = [torch.randn_like(p) for _, p in parameters]
    slope = sum((p.grad * d).sum().item() for (_, p), d in zip(parameters, directions, strict=True))
    step, ends = 1e-7, []
    for sign in (1, -1):
        moved = copy.deepcopy(net)
        with torch.no_grad():
            for p, d in zip(moved.parameters(), directions, strict=True):
                p += sign * step * d
        ends.append(F.cross_entropy(moved(x.double()), y).item())
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope, rel=1e-4, abs=1e-6)
    # a checkpoint, through DataParallel and back
    net.float().eval()
    path = str(tmp_path / "checkpoint.pth")
    torch.save({"net": nn.DataParallel(net).state_dict(), "acc": 12.5, "epoch": 3}, path)
    fresh = MODELS[name]()
    checkpoint = torch.load(path, map_location="cpu")
    fresh.load_state_dict({k.replace("module.", ""): v for k, v in checkpoint["net"].items()})
    assert checkpoint["acc"] == 12.5
    fresh.eval()
    with torch.no_grad():
        assert torch.equal(fresh(x), net(x))
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) > 0


def test_a_training_script():
    args = argparse.Namespace(lr=0.05, gamma=0.7, epochs=3, resume=False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(1)
    np.random.seed(1)
    data = torch.randn(60, 3, 8, 8)
    labels = (data.mean(dim=(1, 2, 3)) > 0).long()
    loader = DataLoader(TensorDataset(data, labels), batch_size=20, shuffle=True, num_workers=0, pin_memory=False)
    net = ResidualNet(Residual, [1, 1], 2).to(device)
    if device == "cpu":
        net = torch.nn.DataParallel(net)
        cudnn.benchmark = True
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(net.parameters(), lr=args.lr, momentum=0.9, weight_decay=5e-4)
    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    losses = []
    for _ in range(args.epochs):
        net.train()
        train_loss = correct = total = 0
        for _, (inputs, targets) in enumerate(loader):
            inputs, targets = Variable(inputs.to(device)), targets.to(device, non_blocking=True)
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            optimizer.step()
            train_loss += loss.item()
            _, predicted = outputs.max(1)
            total += targets.size(0)
            correct += predicted.eq(targets).sum().item()
        scheduler.step()
        losses.append(train_loss)
        assert total == 60 and 0 <= 100.0 * correct / total <= 100 and isinstance(correct, int)
    assert losses[-1] < losses[0] and optimizer.param_groups[0]["lr"] == pytest.approx(0.05 * 0.7**3)
    net.eval()
    hits = 0
    with torch.no_grad():
        for inputs, targets in loader:
            outputs = net(inputs)
            pred = outputs.data.max(1, keepdim=True)[1]
            hits += pred.eq(targets.view_as(pred)).cpu().sum()
            assert torch.equal(torch.max(outputs, 1)[1], pred.squeeze()) and torch.equal(outputs.argmax(1), pred[:, 0])
    assert float(hits) / len(loader.dataset) > 0.6 and f"{hits.item():d}"


def test_a_model_that_overrides_train_and_owns_its_optimizer():
    class Layer(nn.Linear):
        def __init__(self, inp, out, bias=True, device=None, dtype=None):
            super().__init__(inp, out, bias, device, dtype)
            self.opt = optim.Adam(self.parameters(), lr=0.03)

        def forward(self, x):
            direction = x / (x.norm(2, 1, keepdim=True) + 1e-4)
            return F.relu(torch.mm(direction, self.weight.T) + self.bias.unsqueeze(0))

        def train(self, pos, neg):
            for _ in range(5):
                loss = torch.log1p(
                    torch.exp(torch.cat([-self(pos).pow(2).mean(1) + 2.0, self(neg).pow(2).mean(1) - 2.0]))
                ).mean()
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()
            return self.forward(pos).detach(), loss.item()

    def overlay(x, y):
        marked = x.clone()
        marked[:, :10] *= 0.0
        marked[range(x.shape[0]), y] = x.max()
        return marked

    x, y = torch.rand(6, 20), torch.arange(6)
    first = overlay(x, y)
    assert first[:, :10].argmax(1).eq(y).all() and (first[:, :10] != 0).sum() == 6
    assert overlay(x, 3)[:, 3].min() == x.max()
    out, _ = Layer(20, 8).train(first, overlay(x, (y + 1) % 10))
    assert out.shape == (6, 8) and not out.requires_grad


def test_feature_extraction_by_children_and_hooks():
    net = FromTable()
    body = nn.Sequential(*list(net.children())[:-1])
    seen = {}
    for name, module in net.named_modules():
        if isinstance(module, (nn.ReLU, nn.MaxPool2d)):
            module.register_forward_hook(lambda m, args, out, name=name: seen.__setitem__(name, out.detach().numpy()))
    x = torch.randn(2, 3, 16, 16)
    net.eval()
    net(x)
    assert len(seen) == 5 and np.array_equal(body(x).detach().numpy(), seen["features.10"])
    for p in net.features.parameters():
        p.requires_grad = False
    net.classifier[1] = nn.Linear(net.classifier.fc.in_features, 3)
    assert net(x).shape == (2, 3) and len([p for p in net.parameters() if p.requires_grad]) == 2


def test_an_exponential_moving_average_of_a_model():
    net = Branches()
    average = copy.deepcopy(net)
    for p in average.parameters():
        p.requires_grad_(False)
    for p in net.parameters():
        p.data.add_(1.0)
    for a, p in zip(average.parameters(), net.parameters(), strict=True):
        a.data.mul_(0.9).add_(p.data, alpha=0.1)
    for (n, a), p in zip(average.named_parameters(), net.parameters(), strict=True):
        assert np.allclose(a.detach().numpy(), p.detach().numpy() - 0.9, atol=1e-6), n


def test_a_shallow_copy_shares_memory_and_its_version():
    p = nn.Parameter(torch.ones(3))
    q = copy.copy(p)
    assert type(q) is nn.Parameter and q is not p and q.requires_grad and q.is_leaf and q.grad is None
    with torch.no_grad():
        q.zero_()
    assert p.tolist() == [0, 0, 0] and p._version == q._version == 1
    assert copy.copy(F.relu(nn.BatchNorm2d(2)(torch.ones(2, 2, 4, 4)))).shape == (2, 2, 4, 4)


def test_usual_slips_are_told_what_to_write():
    net = nn.Linear(3, 2)
    for wrong in (net, net.parameters):
        with pytest.raises(TypeError, match=r"SGD: params .* call model.parameters\(\)"):
            optim.SGD(wrong, lr=0.1)
    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    for loss, args in ((nn.CrossEntropyLoss, (x, y)), (nn.MSELoss, (x, x)), (nn.L1Loss, (x,))):
        with pytest.raises(TypeError, match="a loss module is made first and then called"):
            loss(*args)
