"""Serves a page on this machine: drop a recording on it, and the report appears. Nothing is kept.

ecgjax serve
ecgjax serve --port=8080
"""

import argparse

from ecgjax.command import options

DEFAULT_PORT = 8765
DEFAULT_MAX_MB = 64.0
LOOPBACK = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ecgjax serve`."""
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 for any that is free")
    parser.add_argument(
        "--host", default=LOOPBACK, help="address to listen on; by default only this machine can reach it"
    )
    parser.add_argument("--max_mb", type=float, default=DEFAULT_MAX_MB, help="largest upload")
    options.add_judging(parser)


def run(args: argparse.Namespace) -> int:
    """Serves until it is interrupted."""
    from ecgjax.serve.server import serve  # noqa: PLC0415 - JAX, which --help should not wait for

    serve(args.host, args.port, args.max_mb, options.judging_of(args))
    return 0
