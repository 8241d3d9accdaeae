"""The kinds of workers that are put through the same faults."""

import json
import os

from harness.place import AIPO, CELERY, INTEROP
from harness.program import Program

QUEUE = "trial"


class Aipo:
    """Workers of the program in `interop/app`, with aipo's defaults but for the number of tasks at a time."""

    title = "aipo"

    def __init__(self, lease=None):
        self._lease = {"AIPO_WORKER_LEASE": lease} if lease else {}

    def start(self, url, concurrency):
        """Starts one."""
        words = [AIPO, "worker", "-Q", QUEUE, "-c", concurrency, "-l", "error"]
        return Program(words, {"AIPO_BROKER_URL": url, "NO_COLOR": "1", **self._lease})


class Celery:
    """Python workers with the prefork pool."""

    def __init__(self, title, **conf):
        self.title = title
        self._conf = conf

    def start(self, url, concurrency):
        """Starts one."""
        name = f"trial-{os.urandom(4).hex()}@here"
        words = [CELERY, "-A", "pyapp", "worker", "-Q", QUEUE, "-c", concurrency, "-l", "critical", "-n", name]
        env = {"CELERY_BROKER_URL": url, "CELERY_RESULT_BACKEND": url, "INTEROP_CONF": json.dumps(self._conf)}
        return Program(words, env, cwd=INTEROP)


# Seconds after which Celery gives out again what a worker took and did not acknowledge; an hour by default.
SHORT_VISIBILITY_SECS = 20

FLEETS = {
    "aipo": lambda: Aipo(),
    "celery": lambda: Celery("Celery, defaults"),
    "celery-late": lambda: Celery(
        "Celery, acks_late, visibility_timeout 20 s",
        task_acks_late=True,
        broker_transport_options={"visibility_timeout": SHORT_VISIBILITY_SECS},
    ),
}
