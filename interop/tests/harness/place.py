"""A Redis database with the workers and senders of both kinds on it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from pyapp.celery_app import make_app

from .gate import Gate
from .program import PATIENCE_SECS, Program
from .server import connect

INTEROP = Path(__file__).parents[2]
# The program of `interop/app`, built by `cargo build -p interop-app`.
AIPO = os.environ.get("AIPO_INTEROP_APP", INTEROP.parent / "target/debug/interop-app")
CELERY = Path(sys.executable).parent / "celery"

# How much of a program's output a failed test shows.
STORY_CHARACTERS = 4000


class Place:
    """One database. What is started here is ended with it."""

    def __init__(self, port, db, folder, **conf):
        self.port = port
        self.db = db
        self.folder = folder
        self.url = f"redis://127.0.0.1:{port}/{db}"
        self.redis = connect(port, db)
        self.app = make_app(self.url, **conf)
        self.programs = []
        self._gates = 0

    def close(self):
        """Ends everything at once: nobody looks at this database any more."""
        for program in reversed(self.programs):
            program.kill()
        # A result object that is dropped later would tell the server so, and there is none by then.
        consumer = self.app.backend.result_consumer
        consumer.stop()
        consumer.subscribed_to.clear()
        self.app.close()
        self.redis.close()

    def story(self):
        """What a failed test shows: the keys, and the end of what each program has written."""
        sections = [("keys", "\n".join(sorted(self.redis.scan_iter())))]
        for program in self.programs:
            sections.append((" ".join(program.argv[:6]), program.output[-STORY_CHARACTERS:]))
        return sections

    # Python's side.

    def python_worker(self, *queues, name="python@here", concurrency=2, options=(), **conf):
        """Starts a Celery worker; returns when it is ready."""
        words = [CELERY, "-A", "pyapp", "worker", "-n", name, "-c", concurrency, "-l", "info"]
        words += ["-Q", ",".join(queues or ["python"]), *options]
        worker = self.python_program(words, **conf)
        worker.wait_for_line(f"{name} ready.")
        return worker

    def celery(self, *words, status=0):
        """Runs a command of `celery -A pyapp` to its end; gives what it wrote to stdout."""
        done = subprocess.run(
            [CELERY, "-A", "pyapp", *map(str, words)],
            env={**os.environ, **self.python_env()},
            cwd=INTEROP,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECS,
        )
        assert done.returncode == status, f"celery {words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def python_program(self, words, env=None, **conf):
        """Starts a program that uses `pyapp`."""
        return self.started(words, {**self.python_env(**conf), **(env or {})}, INTEROP)

    def python_env(self, **conf):
        """Where `pyapp` finds this place."""
        return {
            "CELERY_BROKER_URL": self.url,
            "CELERY_RESULT_BACKEND": self.url,
            "INTEROP_CONF": json.dumps(conf),
        }

    def send(self, name, *args, queue="rust", kwargs=None, **options):
        """Sends a task from Python by its name."""
        return self.app.send_task(name, args, kwargs, queue=queue, **options)

    def run(self, name, *args, **options):
        """Sends a task from Python and gives its result."""
        return self.send(name, *args, **options).get(timeout=PATIENCE_SECS)

    def wait_for_state(self, result, state):
        """Returns when a state is stored, which both kinds of workers announce on the result's channel."""
        key = f"celery-task-meta-{result.id}"
        with self.redis.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(key)
            channel.get_message(timeout=PATIENCE_SECS)
            stored = self.redis.get(key)
            while stored is None or json.loads(stored)["status"] != state:
                message = channel.get_message(timeout=PATIENCE_SECS)
                assert message, f"task {result.id} has not come to {state}: {stored}"
                stored = message["data"]

    # aipo's side.

    def aipo_worker(self, *queues, name="rust@here", concurrency=4, options=(), **settings):
        """Starts an aipo worker; returns when it is ready."""
        words = ["worker", "-n", name, "-c", concurrency, "-l", "info", "-Q", ",".join(queues or ["rust"])]
        program = self.aipo_program(*words, *options, **settings)
        program.wait_for_line("worker ready")
        return program

    def aipo_program(self, *words, **settings):
        """Starts a command of the aipo program that does not end by itself."""
        return self.started([AIPO, *words], self.aipo_env(**settings))

    def aipo(self, *words, stdin="", status=0, **settings):
        """Runs a command of the aipo program to its end; gives what it wrote to stdout."""
        done = subprocess.run(
            [AIPO, *map(str, words)],
            env={**os.environ, **self.aipo_env(**settings)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECS,
        )
        assert done.returncode == status, f"aipo {words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def aipo_env(self, **settings):
        """Settings as aipo takes them from the environment."""
        names = {f"AIPO_{name.upper()}": str(value) for name, value in settings.items()}
        return {"AIPO_BROKER_URL": self.url, "NO_COLOR": "1", **names}

    def aipo_send_all(self, calls, **settings):
        """Sends calls from aipo, see `app/src/send.rs`; gives their ids."""
        lines = "\n".join(json.dumps(call) for call in calls)
        return self.aipo("send", stdin=lines, **settings).splitlines()

    def aipo_send(self, name, *args, queue="python", **call):
        """Sends one task from aipo; gives its result as Python sees it."""
        [task_id] = self.aipo_send_all([{"task": name, "args": args, "queue": queue, **call}])
        return self.app.AsyncResult(task_id)

    def aipo_result(self, task_id, wait="60s", status=0):
        """What aipo reads of a result."""
        return json.loads(self.aipo("result", task_id, "--wait", wait, "--json", status=status))

    def aipo_run(self, name, *args, queue="python", **call):
        """Sends a task from aipo, and gives the value that aipo reads."""
        return self.aipo_result(self.aipo_send(name, *args, queue=queue, **call).id)["result"]

    # Both.

    def started(self, words, env, folder=None):
        """Starts a program, to be ended with this place."""
        program = Program(words, env, folder)
        self.programs.append(program)
        return program

    def gate(self):
        """A gate for one task."""
        self._gates += 1
        return Gate(self.folder / f"gate-{self._gates}")
