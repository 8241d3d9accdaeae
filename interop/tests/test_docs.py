"""What `docs/celery.md` says is so."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from harness.flower import Flower
from harness.place import AIPO, CELERY, INTEROP
from harness.program import PATIENCE_SECS
from harness.server import free_port

GUIDE = INTEROP.parent / "docs/celery.md"


def commands():
    """The commands of the example, as they stand in the guide."""
    text = GUIDE.read_text()
    example = text[text.index("## An example") : text.index("## ", text.index("## An example") + 1)]
    blocks = re.findall(r"```sh\n(.*?)```", example, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_example_runs(place):
    """All its commands, on this test's server and a free port."""
    lines = commands()
    assert len(lines) == 6, lines
    build, address, rust, python, flower, order = lines
    assert build == "cargo build -p celery-example"
    assert address.startswith("export ") and address.count("redis://127.0.0.1:6379/0") == 3
    port = free_port()
    environment = dict(
        variable.replace("redis://127.0.0.1:6379/0", place.url).split("=") for variable in shlex.split(address)[1:]
    )

    def words(line):
        first, *rest = shlex.split(line)
        programs = {
            "../../target/debug/celery-example": Path(AIPO).with_name("celery-example"),
            "celery": CELERY,
            "python": CELERY.with_name("python"),
        }
        return [programs[first], *rest]

    def start(line, *more):
        return place.started([*words(line), *more], environment, INTEROP / "example")

    start(rust).wait_for_line("worker ready")
    start(python).wait_for_line(" ready.")
    monitor = Flower(start(flower, f"--port={port}", "--address=127.0.0.1"), port)
    done = subprocess.run(
        list(map(str, words(order))),
        env={**os.environ, **environment},
        cwd=INTEROP / "example",
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECS,
    )

    assert (done.stdout, done.returncode) == ("Dear Ana, you paid 15.00.\n", 0), done.stderr
    # Both workers, by the names that they give themselves.
    monitor.until(lambda: all(name in monitor.get("/workers", refresh=1) for name in ("shop-", "celery@")))


def settings():
    """What the guide says of each of Celery's settings, by name."""
    text = GUIDE.read_text()
    table = text[text.index("### Settings") :]
    table = table[: table.index("\n### ", 1)]
    told = {}
    for line in table.splitlines():
        if line.startswith("| `"):
            names, verdict, *_ = line.strip("| ").split(" | ")
            for name in re.findall(r"`([a-z0-9_*]+)`", names):
                assert name not in told, f"{name} stands twice"
                told[name] = verdict
    return told


def test_every_setting_of_celery_is_there():
    """As Celery itself lists them; those of one store are told together, by their prefix."""
    from celery.app.defaults import NAMESPACES, flatten

    told = settings()
    prefixes = [name[:-1] for name in told if name.endswith("*")]
    missing = [
        name
        for name, _ in flatten(NAMESPACES)
        if name not in told and not any(name.startswith(prefix) for prefix in prefixes)
    ]
    assert missing == []


@pytest.fixture(scope="module")
def known():
    """The names of aipo's settings."""
    answer = subprocess.run([AIPO, "settings", "--json"], capture_output=True, check=True, timeout=PATIENCE_SECS)
    return {setting["name"] for setting in json.loads(answer.stdout)}


def test_every_setting_that_is_the_same_exists(known):
    there = {name for name, verdict in settings().items() if verdict in ("same", "better", "other default")}
    assert there - known == set()


def test_no_setting_of_aipos_is_called_missing(known):
    missing = {name for name, verdict in settings().items() if verdict in ("not yet", "never")}
    assert missing & known == set()


def test_verdicts_are_those_that_are_explained():
    assert set(settings().values()) <= {"same", "better", "other default", "not yet", "never"}
