"""``python -m tinycnn <command>``."""

from __future__ import annotations

import argparse


def main() -> None:
    """Run the command that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tinycnn", description="tinycnn on the command line")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("coverage", help="which operations of PyTorch are here, what differs and what is left out")
    warmup = commands.add_parser("warmup", help="compile the kernels in advance, so that training starts at once")
    warmup.add_argument("--dtype", nargs="+", choices=("float32", "float64"), default=["float32"])
    warmup.add_argument("--only", default="", metavar="TEXT", help="only the tasks whose names contain this: LeNet-5")
    args = parser.parse_args()
    if args.command == "coverage":
        from .testing.coverage import report  # each command loads what it needs

        print(report())
    else:
        from ._warmup import warm_up

        print(warm_up(args.dtype, args.only))


if __name__ == "__main__":
    main()
