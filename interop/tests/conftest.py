"""Fixtures: a Redis server for each test process, and databases on it."""

import itertools
import signal
from pathlib import Path

import pytest

from harness.place import AIPO, Place
from harness.server import DATABASES, redis_server


def pytest_sessionstart(session):
    # So that fixtures end what they started also when the run itself is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not session.config.option.collectonly:
        if not Path(AIPO).is_file():
            pytest.exit(f"{AIPO} is missing: cargo build -p interop-app, or set AIPO_INTEROP_APP", 2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that fails shows what the workers of its place have written, and which keys there are."""
    report = yield
    if report.failed:
        for name in ("place", "duo"):
            if place := item.funcargs.get(name):
                report.sections += place.story()
    return report


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory):
    """The port of a Redis server."""
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(scope="session")
def databases():
    """Numbers of databases that nobody has used yet."""
    return itertools.count(1)


@pytest.fixture(scope="session")
def new_place(redis_port, databases, tmp_path_factory):
    """Makes places; whoever calls it closes them."""

    def make(**conf):
        db = next(databases)
        assert db < DATABASES, "the server has too few databases"
        return Place(redis_port, db, tmp_path_factory.mktemp("place"), **conf)

    return make


@pytest.fixture
def place(new_place):
    """An empty place for one test."""
    place = new_place()
    yield place
    place.close()


@pytest.fixture(scope="module")
def duo(new_place):
    """A place for all tests of a file, with an aipo worker on the queue `rust` and a Python worker on the
    queue `python`."""
    place = new_place()
    try:
        place.rust = place.aipo_worker("rust")
        place.python = place.python_worker("python")
        yield place
    finally:
        place.close()
