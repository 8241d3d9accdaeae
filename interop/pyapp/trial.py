"""The task of the fault runs, `faults/`, which the aipo program has under the same name."""

import os
import time

from celery import shared_task


@shared_task(name="trial.work")
def work(file, number, millis):
    """Takes some milliseconds, and records outside of the store that it begins and that it is done."""
    record(file, "begun", number)
    time.sleep(millis / 1000)
    record(file, "done", number)
    return number


def record(file, what, number):
    """Adds a line: what, which task, the worker, nanoseconds since 1970. A worker's children are in its session."""
    # One write in append mode, so that lines of several processes do not mix.
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, f"{what} {number} {os.getsid(0)} {time.time_ns()}\n".encode())
    finally:
        os.close(handle)
