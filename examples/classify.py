"""Names what is on a photograph, with a SqueezeNet that somebody else has trained.

    python examples/classify.py coffee.png --weights FILE --labels synset_words.txt

The weights are those of SqueezeNet 1.0: torchvision's file, or Caffe's with layers called conv1, fire2/squeeze1x1, ...,
conv10. Each wants the images that it was trained on, which the script prepares.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import tinycnn
from tinycnn.vision import models
from tinycnn.vision import transforms as T
from tinycnn.vision.io import read_image

FIRES = {2: 3, 3: 4, 4: 5, 5: 7, 6: 8, 7: 9, 8: 10, 9: 12}  # Caffe's fire2 is features.3, and so on


def from_caffe(state: dict[str, tinycnn.Tensor]) -> dict[str, tinycnn.Tensor]:
    """The same weights under the names of `models.squeezenet1_0`."""
    renamed = {}
    for key, value in state.items():
        layer, _, kind = key.rpartition(".")
        if layer.startswith("fire"):
            fire, part = layer.split("/")
            layer = f"features.{FIRES[int(fire[4:])]}.{'squeeze' if part == 'squeeze1x1' else part}"
        else:
            layer = {"conv1": "features.0", "conv10": "classifier.1"}[layer]
        renamed[f"{layer}.{kind}"] = value
    return renamed


def load(path: Path) -> tuple[tinycnn.nn.Module, bool]:
    """The model in evaluation, and whether it wants Caffe's images."""
    state = tinycnn.load(path)
    caffe = "conv10.weight" in state
    model = models.squeezenet1_0()
    if caffe:
        model.classifier[1].padding = (1, 1)  # as it was trained
        state = from_caffe(state)
    model.load_state_dict(state)
    return model.eval(), caffe


def prepare(path: Path, caffe: bool) -> tinycnn.Tensor:
    """The photograph as (1, 3, H, W).

    Caffe: 227x227, blue before green before red, 0 to 255 less the mean colour. Else: the middle 224x224 of 256, red
    first, 0 to 1, with ImageNet's mean and deviation.
    """
    image = read_image(path, "RGB")
    if caffe:
        pixels = T.functional.resize(image, [227, 227]).numpy()[::-1].astype(np.float32)
        return tinycnn.from_numpy(pixels - np.array([104, 117, 123], np.float32).reshape(3, 1, 1)).unsqueeze(0)
    square = T.functional.center_crop(T.functional.resize(image, 256), [224, 224])
    scaled = tinycnn.from_numpy(square.numpy().astype(np.float32) / 255)
    return T.functional.normalize(scaled, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]).unsqueeze(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", type=Path, help="a photograph: .png, .jpg, ...")
    parser.add_argument("--weights", type=Path, required=True, help="weights of SqueezeNet 1.0: .safetensors or .pth")
    parser.add_argument("--labels", type=Path, required=True, help='a line for each class: "n01440764 tench, ..."')
    parser.add_argument("--top", type=int, default=5, help="how many names")
    args = parser.parse_args()
    for path in (args.image, args.weights, args.labels):
        if not path.is_file():
            raise SystemExit(f"{path} is not there")
    labels = [line.partition(" ")[2] for line in args.labels.read_text().splitlines() if line]
    model, caffe = load(args.weights)
    with tinycnn.no_grad():
        scores = model(prepare(args.image, caffe))[0].softmax(0)
    if len(labels) != len(scores):
        raise SystemExit(f"{args.labels} has {len(labels)} lines, the model {len(scores)} classes")
    values, classes = scores.topk(args.top)
    for value, number in zip(values.tolist(), classes.tolist(), strict=True):
        print(f"{value:6.1%}  {labels[number]}")


if __name__ == "__main__":
    main()
