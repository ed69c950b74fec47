"""``python -m tinycnn <command>``."""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, NoReturn

COMMANDS = {
    "summary": "what each layer of a model makes of its input, and what it costs",
    "show-config": "what this installation consists of: versions, threads, cache of kernels, switches, devices",
    "warmup": "compile the kernels in advance, so that training starts at once",
    "coverage": "which operations of PyTorch are here, what differs and what is left out",
}
EXAMPLES = {
    "summary": """
  python -m tinycnn summary resnet18 --input 3,224,224
  python -m tinycnn summary resnet50 --input 3,224,224 --depth 2
  python -m tinycnn summary lenet5 --input 8,1,32,32          a batch of 8
  python -m tinycnn summary resnet18 --input 3,32,32 --set num_classes=10
  python -m tinycnn summary train.py:Net --input 1,28,28      the class (or function, or model) Net in train.py
""",
    "show-config": """
  python -m tinycnn show-config
""",
    "warmup": """
  python -m tinycnn warmup                                    float32
  python -m tinycnn warmup --dtype float32 float64
  python -m tinycnn warmup --only ResNet
""",
    "coverage": """
  python -m tinycnn coverage
  python -m tinycnn coverage | grep conv
""",
}


def near(word: str, known: Any) -> str:
    """``; did you mean ...?`` if some known word is near, else nothing."""
    names = {name.lower(): name for name in known}
    found = [names[match] for match in difflib.get_close_matches(word.lower(), names, 3, 0.6)]
    return f"; did you mean {' or '.join(found)}?" if found else ""


class Parser(argparse.ArgumentParser):
    """Says what was probably meant when a command does not exist."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice: '" in message:
            word = message.split("invalid choice: '")[1].split("'")[0]
            message += near(word, COMMANDS)
        super().error(message)


def sizes(text: str) -> tuple[int, ...]:
    """``3,224,224`` (or ``3x224x224``) as numbers."""
    try:
        numbers = tuple(int(n) for n in text.replace("x", ",").split(","))
    except ValueError:
        numbers = ()
    if not 1 <= len(numbers) <= 4 or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"expected one to four sizes, channels first, such as 3,224,224; got {text!r}")
    return numbers


def option(text: str) -> tuple[str, Any]:
    """``name=value`` as a pair; the value is a Python literal, or else a string."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"expected name=value, such as num_classes=10, got {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def depth(text: str) -> int | None:
    """A number, or ``all``."""
    if text != "all" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number or all, got {text!r}")
    return None if text == "all" else int(text)


def find_model(name: str, options: dict[str, Any]) -> Any:
    """The model of that name in `tinycnn.vision.models`, or ``file.py:Name`` or ``package.module:Name``.

    Raises:
        SystemExit: with what is missing, in words.
    """
    from .nn import Module
    from .vision import models

    place, colon, attribute = name.rpartition(":")
    if not colon:
        if name.lower() not in models.list_models():
            hint = near(name, models.list_models()) or f"; there are {', '.join(models.list_models())}"
            hint += f"; for a class in it: {name}:NAME" if name.endswith(".py") else ""
            raise SystemExit(f"summary: there is no model {name!r}{hint}")
        maker: Any = models.get_model
        return maker(name, **options)
    if place.endswith(".py"):
        path = Path(place).resolve()
        if not path.is_file():
            raise SystemExit(f"summary: there is no file {place}")
        sys.path.insert(0, str(path.parent))  # as when it is run
        spec: Any = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        sys.path.insert(0, "")
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise SystemExit(f"summary: {error}; expected a name of tinycnn.vision.models, or FILE.py:NAME") from None
    if not hasattr(module, attribute):
        raise SystemExit(f"summary: {place} has no {attribute!r}{near(attribute, dir(module))}")
    found = getattr(module, attribute)
    model = found if isinstance(found, Module) else found(**options) if callable(found) else found
    if not isinstance(model, Module):
        raise SystemExit(f"summary: {name} is a {type(model).__name__}, not an nn.Module")
    return model


def show_summary(args: argparse.Namespace) -> None:
    """The command ``summary``."""
    from .inspect import summary

    if sys.stderr.isatty():
        print(f"{args.model}: making it, running it once ...", end="\r", file=sys.stderr)
    try:
        table: Any = summary(find_model(args.model, dict(args.set)), args.input, depth=args.depth)
    except (RuntimeError, ValueError, TypeError) as error:
        notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
        raise SystemExit(f"summary: {error}{notes}") from None
    if args.json:
        table = json.dumps(table.to_dicts(), indent=1).replace("Infinity", '"all"')  # JSON has no infinite numbers
    print(table)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = Parser(
        prog="python -m tinycnn",
        description="tinycnn on the command line",
        epilog="python -m tinycnn COMMAND --help shows the options of a command, with examples",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    of = {
        name: commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"examples:{EXAMPLES[name]}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for name, text in COMMANDS.items()
    }
    add = of["summary"].add_argument
    add("model", metavar="MODEL", help="a name of tinycnn.vision.models, or FILE.py:NAME")
    add("--input", type=sizes, required=True, metavar="C,H,W", help="one input, for a batch of 1; or N,C,H,W")
    add("--depth", type=depth, default=3, metavar="N", help="how far down to show the tree, or all; 3 if not given")
    add("--set", type=option, nargs="+", default=[], metavar="NAME=VALUE", help="arguments of the model")
    add("--json", action="store_true", help="print the data of all layers instead of a table")
    add = of["warmup"].add_argument
    add("--dtype", nargs="+", choices=("float32", "float64"), default=["float32"])
    add("--only", default="", metavar="TEXT", help="only the tasks whose names contain this: LeNet-5")
    return top


def main() -> None:
    """Run the command that the command line names; each loads what it needs."""
    args = parser().parse_args()
    if args.command == "summary":
        show_summary(args)
    elif args.command == "show-config":
        from ._config import show_config

        show_config()
    elif args.command == "coverage":
        from .testing.coverage import report

        print(report())
    else:
        from ._warmup import warm_up

        print(warm_up(args.dtype, args.only))


if __name__ == "__main__":
    main()
