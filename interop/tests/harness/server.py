"""A throw-away Redis server, and ports that are free."""

import contextlib
import os
import shutil
import socket

import pytest
from redis import Redis

from .program import Program

DATABASES = 1000


def free_port():
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def redis_server(folder):
    """Runs redis-server on a free port with its data in `folder`; gives the port."""
    program = shutil.which("redis-server")
    if program is None and os.environ.get("AIPO_REQUIRE_SERVERS") == "1":
        pytest.fail("redis-server is not installed, and AIPO_REQUIRE_SERVERS=1")
    if program is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "save": "",
        "appendonly": "no",
        "dir": folder,
        "databases": DATABASES,
    }
    server = Program([program, *(word for name, value in options.items() for word in (f"--{name}", value))])
    try:
        server.wait_for_line("Ready to accept connections")
        yield port
    finally:
        server.stop()


def connect(port, db):
    """A client for one database."""
    return Redis(port=port, db=db, decode_responses=True)
