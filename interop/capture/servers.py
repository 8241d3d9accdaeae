"""Child processes of a capture: a throw-away Redis server and real Celery workers.

Each is started on its own folder and a free port, and only the processes started here are ended.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

STOP_SECS = 30
NODE_NAME = "w1@golden"


@contextlib.contextmanager
def redis_server(folder):
    """Runs redis-server on a free loopback port with its data in `folder`; gives the port."""
    program = shutil.which("redis-server") or sys.exit("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "redis.log"
    process = subprocess.Popen(
        [
            program,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            str(folder),
            "--logfile",
            str(log),
        ]
    )
    try:
        wait_until_it_answers(process, port, log)
        yield port
    finally:
        stop(process)


def wait_until_it_answers(process, port, log):
    client = Redis(port=port)
    while True:
        if process.poll() is not None:
            sys.exit(f"redis-server ended at once:\n{log.read_text()}")
        try:
            client.ping()
            return client.close()
        except RedisConnectionError:
            # A refused connection comes back at once; waiting on the process paces the next try.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)


class Worker:
    """A Celery worker with one prefork process, so that it runs its tasks one after the other.

    It works on a copy of `tasks.py` inside `folder`: the paths in its tracebacks then do not tell
    where the checkout is.
    """

    def __init__(self, folder, url, conf=None):
        shutil.copy(Path(__file__).parent.parent / "tasks.py", folder)
        self.log = folder / "worker.log"
        environment = dict(
            os.environ,
            CELERY_BROKER_URL=url,
            CELERY_RESULT_BACKEND=url,
            INTEROP_CONF=json.dumps(conf or {}),
            PYTHONDONTWRITEBYTECODE="1",
        )
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "celery",
                    "-A",
                    "tasks",
                    "worker",
                    "-n",
                    NODE_NAME,
                    "-c",
                    "1",
                    "-Q",
                    "celery",
                    "-l",
                    "INFO",
                ],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the worker the way an operator would, and waits until it has."""
        stop(self._process)


def stop(process):
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
