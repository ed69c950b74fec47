"""``python -m tinycnn <command>``."""

from __future__ import annotations

import argparse


def main() -> None:
    """Run the command that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tinycnn", description="tinycnn on the command line")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("coverage", help="which operations of PyTorch are here, what differs and what is left out")
    parser.parse_args()
    from .testing.coverage import report  # the table of operations is loaded by this command only

    print(report())


if __name__ == "__main__":
    main()
