"""The Celery app that aipo is measured against.

A stock Celery app with default settings: what it sends and stores is what any Celery user's program
sends and stores. Broker and result backend come from Celery's own environment variables
`CELERY_BROKER_URL` and `CELERY_RESULT_BACKEND`; other settings can be given as a JSON map in
`INTEROP_CONF`, for example `INTEROP_CONF='{"task_acks_late": true}'`.

Every task shows one behaviour and does nothing else. All names start with `tasks.`.
"""

import json
import os
import signal
import time

from celery import Celery, group, shared_task, signature
from celery.exceptions import Ignore, Reject

app = Celery("tasks")
app.conf.update(json.loads(os.environ.get("INTEROP_CONF", "{}")))


class BookingError(Exception):
    """An exception only this program knows: readers elsewhere cannot import it."""


class Booking:
    """Holds a nested exception class, whose qualified name has a dot."""

    class Closed(Exception):
        """Stored as `Booking.Closed`."""


class Opaque:
    """A value that no serializer knows, with a printed form that does not change between runs."""

    def __repr__(self):
        return "<Opaque>"


# Plain calls.


@shared_task(name="tasks.add")
def add(x, y=0):
    return x + y


@shared_task(name="tasks.echo")
def echo(*args, **kwargs):
    """Gives back what it got: one value as itself, anything else as `[args, kwargs]`."""
    if len(args) == 1 and not kwargs:
        return args[0]
    return [args, kwargs]


@shared_task(name="tasks.tsum")
def tsum(numbers):
    return sum(numbers)


@shared_task(name="tasks.sleep_for", track_started=True)
def sleep_for(seconds):
    time.sleep(seconds)
    return seconds


@shared_task(name="tasks.quiet", ignore_result=True)
def quiet(value=None):
    return value


# Failures.


@shared_task(name="tasks.fail")
def fail(*args):
    raise ValueError(*args)


@shared_task(name="tasks.fail_custom")
def fail_custom(room, seats):
    raise BookingError(f"room {room} is full", seats)


@shared_task(name="tasks.fail_nested_class")
def fail_nested_class():
    raise Booking.Closed("until Monday")


@shared_task(name="tasks.fail_with_cause")
def fail_with_cause(key):
    try:
        {}[key]
    except KeyError as error:
        raise BookingError("lookup failed") from error


@shared_task(name="tasks.fail_with_opaque_argument")
def fail_with_opaque_argument():
    raise ValueError("cannot use", Opaque())


@shared_task(name="tasks.return_opaque")
def return_opaque():
    return Opaque()


@shared_task(name="tasks.die")
def die():
    """Ends its own pool process the hard way, as the kernel's out-of-memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)


# Outcomes other than success and failure.


@shared_task(name="tasks.retry_later", bind=True)
def retry_later(self, *args, countdown=3600, **kwargs):
    """Fails and asks for another attempt, always."""
    try:
        raise ConnectionError("printer is offline")
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=countdown)


@shared_task(name="tasks.retry_plain", bind=True, max_retries=0)
def retry_plain(self):
    """Asks for an attempt it has no right to any more, naming no cause."""
    raise self.retry(countdown=0)


@shared_task(name="tasks.succeed_on_attempt", bind=True, max_retries=10)
def succeed_on_attempt(self, attempt):
    """Fails until its `attempt`-th run (counted from 1), then gives back the number of retries."""
    if self.request.retries + 1 < attempt:
        raise self.retry(exc=ConnectionError("not yet"), countdown=0)
    return self.request.retries


@shared_task(name="tasks.ignore")
def ignore():
    raise Ignore()


@shared_task(name="tasks.reject")
def reject(requeue=False):
    raise Reject("no use for it", requeue=requeue)


@shared_task(name="tasks.progress", bind=True)
def progress(self, done, total):
    self.update_state(state="PROGRESS", meta={"done": done, "total": total})
    return done


# Tasks that send.


@shared_task(name="tasks.replace_with_add", bind=True)
def replace_with_add(self, x, y):
    return self.replace(add.s(x, y))


@shared_task(name="tasks.send_child")
def send_child(x, y):
    add.delay(x, y)
    return "sent"


@shared_task(name="tasks.send_children")
def send_children(numbers):
    group(add.s(number, 1) for number in numbers).apply_async()
    return "sent"


def elsewhere(name):
    """A signature of a task that this app does not have, for a queue that its worker leaves alone."""
    return signature(name, queue="elsewhere")
