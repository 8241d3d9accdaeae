"""Tasks that the aipo program has under the same names, for queues that both kinds of workers serve."""

import os

from celery import chain, shared_task, signature


@shared_task(name="shared.who")
def who():
    return "python"


@shared_task(name="shared.mark")
def mark(file, text):
    """Adds a line to a file that workers of both kinds write to: who ran it, and its text."""
    write_line(file, text)


def write_line(file, text):
    # One write in append mode, so that lines of several processes do not mix.
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, f"python {text}\n".encode())
    finally:
        os.close(handle)


@shared_task(name="shared.second_attempt", bind=True)
def second_attempt(self):
    """Asks for a second attempt at once, wherever it is first run, and tells who made the second."""
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    return {"by": "python", "retries": self.request.retries}


@shared_task(name="shared.hold")
def hold(gate):
    with open(gate) as file:
        return file.read()


@shared_task(name="shared.step")
def step(value, label):
    """A step of a workflow: which one it was, who ran it, and what it was given."""
    return {"step": label, "by": "python", "of": value}


@shared_task(name="shared.refuse")
def refuse(value, label):
    """A step that fails."""
    raise ValueError(label)


# Bound, since a Python worker calls an errback that takes more than the id in place, with the exception.
@shared_task(name="shared.failed", bind=True)
def failed(self, task_id, file):
    """An errback: adds a line that says which task has failed."""
    write_line(file, f"failed {task_id}")


@shared_task(name="shared.go_on", bind=True)
def go_on(self, value, label, queues):
    """A step that puts two others in its place, one on each queue."""
    first, second = queues
    raise self.replace(chain(later((value, f"{label}1"), first), later((f"{label}2",), second)))


@shared_task(name="shared.more", bind=True)
def more(self, value, label, queue):
    """A step that adds another one, on a queue, to the chord that it is part of."""
    self.add_to_chord(later((None, f"{label}+"), queue))
    return {"step": label, "by": "python", "of": value}


def later(args, queue):
    return signature("shared.step", args, queue=queue)
