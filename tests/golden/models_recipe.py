"""What make_models.py and the tests do alike with a model: weights, and one step forward and back."""

import numpy as np

# name: pixels a side
RUNS = {
    "squeezenet1_1": 64,
    "resnet18": 64,
    "densenet121": 64,
    "googlenet": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "shufflenet_v2_x0_5": 64,
    "mnasnet0_5": 64,
    "fcn_resnet50": 40,
}


def options(name):
    """With the auxiliary head where that is a choice, without weights, without a slow initialisation."""
    chosen = {"weights": None}
    if name.startswith("fcn"):
        chosen |= {"weights_backbone": None, "aux_loss": True}
    if name in ("googlenet", "inception_v3"):
        chosen |= {"init_weights": False}
    return chosen


def wave(shape, phase):
    """sin(1.7 i + phase) in the shape."""
    return np.sin(1.7 * np.arange(int(np.prod(shape))) + phase).reshape(shape)


def weights(model):
    """For each key of the state_dict an array: weights that keep the variance, norms near the usual values."""
    draw = np.random.RandomState(0).standard_normal  # the stream of the old generator never changes
    made = {}
    for key, value in model.state_dict().items():
        shape = tuple(value.shape)
        if key.endswith("num_batches_tracked"):
            made[key] = np.zeros(shape, np.int64)
        elif key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
            made[key] = np.exp(0.3 * draw(shape))
        elif len(shape) == 1:
            made[key] = 0.2 * draw(shape)
        else:
            made[key] = draw(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return made


def step(library, model, size):
    """Numbers that stand for a step: two logits of each output, in evaluation and training, and norms of gradients."""
    for module in model.modules():
        if type(module).__name__ == "Dropout":
            module.p = 0.0
    x = library.from_numpy(wave((2, 3, size, size), 0.5))
    found = []
    for training in (False, True):
        model.train(training)
        result = model(x)
        outputs = list(result.values()) if isinstance(result, dict) else result
        outputs = [outputs] if not isinstance(outputs, (tuple, list)) else outputs
        loss = sum((o * library.from_numpy(wave(tuple(o.shape), 1.0))).mean() for o in outputs)
        found += [float(v) for o in outputs for v in o.detach().numpy().reshape(2, -1)[:, 1]]
    loss.backward()
    gradients = [p.grad.numpy() for p in model.parameters() if p.grad is not None]
    return found + [float(np.linalg.norm(g)) for g in (gradients[0], gradients[len(gradients) // 2], gradients[-1])]
