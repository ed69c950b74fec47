"""The import lines of PyTorch's scripts work when ``torch`` and ``torchvision`` are renamed, nothing else."""

import subprocess
import sys

import pytest

import tinycnn as torch
from tinycnn import nn

LINES = """
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import torch.backends.cudnn as cudnn
import torch.backends.mps
import torch.cuda.amp
import torch.multiprocessing as mp
import torch.nn.init as init
import torch.nn.parallel
import torch.utils.data
import torch.utils.data.distributed
import torch.utils.checkpoint as checkpoint
import torch.utils.model_zoo as model_zoo
import torchvision
import torchvision.datasets as dset
import torchvision.models as models
import torchvision.transforms as transforms
import torchvision.utils as vutils
from torch import Tensor, nn, optim
from torch.amp import GradScaler, autocast
from torch.autograd import Function, Variable
from torch.cuda.amp import autocast
from torch.hub import load_state_dict_from_url
from torch.nn import functional as F, init
from torch.nn import Module, Parameter
from torch.nn.common_types import _size_2_t
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import Conv2d
from torch.nn.modules.module import Module
from torch.nn.modules.utils import _pair, _ntuple
from torch.nn.parallel import DataParallel, DistributedDataParallel as DDP
from torch.nn.parameter import Parameter
from torch.optim.lr_scheduler import MultiStepLR, StepLR
from torch.optim import lr_scheduler
from torch.types import Device, Number
from torch.utils.data import DataLoader, Dataset, random_split
from torch.utils.data.distributed import DistributedSampler
from torchvision import datasets, models, transforms
from torchvision.utils import make_grid, save_image
"""


def renamed(line):
    return line.replace("torchvision", "tinycnn.vision").replace("torch", "tinycnn")


@pytest.mark.parametrize("line", LINES.strip().splitlines())
def test_an_import_line(line):
    exec(compile(renamed(line), line, "exec"), {})


def test_all_import_lines_in_a_fresh_process():
    code = "\n".join(renamed(line) for line in reversed(LINES.strip().splitlines()))
    subprocess.run([sys.executable, "-c", code], check=True)


def test_deep_names_are_the_same_objects():
    assert nn.modules.conv.Conv2d is nn.Conv2d and nn.modules.Linear is nn.Linear
    assert nn.modules.utils._pair(3) == (3, 3) and nn.modules.utils._triple([1, 2, 3]) == (1, 2, 3)
    assert nn.modules.utils._reverse_repeat_tuple((1, 2), 2) == (2, 2, 1, 1)
    assert isinstance(nn.BatchNorm2d(1), nn.modules.batchnorm.BatchNorm2d)
    with pytest.raises(AttributeError, match="LSTM"):
        nn.modules.LSTM  # noqa: B018


@pytest.mark.parametrize(
    ("module", "name", "why"),
    [
        (nn, "LSTM", "recurrent"),
        (nn, "MultiheadAttention", "attention"),
        (torch, "sparse_coo_tensor", "sparse"),
        (torch, "complex64", "complex"),
        (torch, "fft", "Fourier"),
        (torch, "distributed", "several processes"),
        (torch, "export", "tracing"),
        (torch, "bfloat16", "bfloat16"),
    ],
)
def test_what_is_outside_is_refused_in_words(module, name, why):
    assert not hasattr(module, name)
    with pytest.raises(AttributeError, match=f"{name}: .*{why}.* outside of tinycnn"):
        getattr(module, name)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        module.nonsense  # noqa: B018


def test_devices_answer_truthfully():
    assert not torch.cuda.is_available() and torch.cuda.device_count() == 0 and not torch.cuda.is_initialized()
    assert not torch.accelerator.is_available() and torch.accelerator.current_accelerator() is None
    assert torch.accelerator.device_count() == 0
    assert not torch.backends.mps.is_available() and not torch.backends.cudnn.is_available()
    assert not torch.xpu.is_available() and not torch.mps.is_available() and torch.mps.device_count() == 0
    torch.xpu.manual_seed(1)
    torch.xpu.empty_cache()
    assert not isinstance(torch.ones(1), torch.cuda.FloatTensor)
    assert torch.backends.cudnn.version() is None and not torch.backends.mkldnn.is_available()
    torch.cuda.manual_seed(1)
    torch.cuda.manual_seed_all(1)
    torch.cuda.empty_cache()
    assert torch.cuda.memory_allocated() == torch.cuda.max_memory_allocated() == 0
    for act in (
        torch.cuda.current_device,
        torch.cuda.synchronize,
        lambda: torch.cuda.set_device(0),
        torch.cuda.FloatTensor,
    ):
        with pytest.raises(RuntimeError, match="no GPU"):
            act()
    for act in (torch.accelerator.synchronize, torch.accelerator.current_device_index):
        with pytest.raises(RuntimeError, match="only the CPU"):
            act()


def test_switches_are_kept():
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    assert not torch.are_deterministic_algorithms_enabled()
    torch.set_float32_matmul_precision("high")
    assert torch.get_float32_matmul_precision() == "high" and torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    assert torch.get_float32_matmul_precision() == "highest"
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = True
    assert torch.get_float32_matmul_precision() == "high"
    torch.set_float32_matmul_precision("highest")
    assert not torch.backends.cuda.matmul.allow_tf32
    with pytest.raises(ValueError, match="highest"):
        torch.set_float32_matmul_precision("low")


def test_compile_gives_the_model_itself():
    model = nn.Linear(1, 1)
    assert torch.compile(model) is model and torch.compile(dynamic=True)(len) is len


def test_the_marks_of_a_compiler_change_nothing():
    assert not torch.jit.is_scripting() and not torch.jit.is_tracing()
    assert torch.jit.unused(len) is torch.jit.ignore(len) is torch.jit.ignore()(len) is torch.fx.wrap(len) is len
    with pytest.raises(RuntimeError, match="no compiler"):
        torch.jit.script(nn.Linear(1, 1))


@pytest.mark.filterwarnings("ignore:autocast", "ignore:GradScaler")  # PyTorch warns as well, where there is no GPU
def test_mixed_precision_without_a_gpu_is_harmless():
    model, x = nn.Linear(2, 1), torch.ones(1, 2)
    scaler = torch.amp.GradScaler("cuda")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.bias.item()
    with torch.autocast("cuda", dtype=torch.float16):
        loss = model(x).sum()
    assert loss.dtype is torch.float32
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert abs(model.bias.item() - (before - 0.1)) < 1e-6 and scaler.get_scale() == 1 and scaler.state_dict() == {}
    assert torch.cuda.amp.autocast(enabled=False)(len)("ab") == 2 and not torch.is_autocast_enabled()


def test_variable_is_a_tensor():
    x = torch.ones(2, requires_grad=True) * 2
    v = torch.autograd.Variable(x, requires_grad=True)
    assert isinstance(v, torch.autograd.Variable) and type(v) is torch.Tensor
    assert v.is_leaf and v.requires_grad and v.array is x.array


def test_parallel_wrappers_pass_through():
    model = nn.Sequential(nn.Linear(2, 1))
    x = torch.ones(3, 2)
    for wrapper in (nn.DataParallel(model, device_ids=[]), nn.parallel.DistributedDataParallel(model)):
        assert wrapper.module is model and torch.equal(wrapper(x), model(x))
        assert list(wrapper.state_dict()) == ["module.0.weight", "module.0.bias"]
    assert torch.equal(nn.parallel.data_parallel(model, x), model(x))
    with nn.parallel.DistributedDataParallel(model).no_sync():
        pass
    with pytest.raises(RuntimeError, match="no parameter"):
        nn.parallel.DistributedDataParallel(nn.ReLU())
    with pytest.raises(TypeError, match=r"expected an nn\.Module"):
        nn.DataParallel(3)


def test_processes_are_spawned():
    assert torch.multiprocessing.spawn(print, ("hello",), nprocs=1) is None


def test_what_is_loaded_when_it_is_asked_for():
    assert torch.inspect.summary(nn.ReLU(), (3,)).params == 0
