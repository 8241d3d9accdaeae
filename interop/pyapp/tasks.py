"""Tasks of Python's own, named `py.…`: the twins of `interop.…` in `app/src/`."""

import time

from celery import shared_task
from celery.exceptions import Ignore, Reject
from celery.result import allow_join_result

HOUR_SECS = 60 * 60


class OutOfStock(Exception):
    """An exception that only this program knows."""


# Tasks that answer with what they were given, or with what their message says.


@shared_task(name="py.add")
def add(x, y):
    return x + y


@shared_task(name="py.echo")
def echo(value):
    return value


@shared_task(name="py.type_of")
def type_of(value):
    """What the value is in Python."""
    return [type(value).__name__, repr(value)]


@shared_task(name="py.greet")
def greet(name, greeting="Hello", title=None):
    return f"{greeting}, {title + ' ' if title else ''}{name}!"


@shared_task(name="py.request", bind=True)
def request(self, *args, **kwargs):
    """What the message said beside the arguments, which may be any."""
    request = self.request
    return {
        "id": request.id,
        "task": request.task,
        "shadow": request.shadow,
        "retries": request.retries,
        "group": request.group,
        "root_id": request.root_id,
        "parent_id": request.parent_id,
        "ignore_result": request.ignore_result,
        "headers": request.headers,
        "origin": request.origin,
        "priority": request.delivery_info["priority"],
        "queue": request.delivery_info["routing_key"],
        "eta": request.eta,
        "expires": request.expires,
        "timelimit": request.timelimit,
        "argsrepr": request.argsrepr,
        "kwargsrepr": request.kwargsrepr,
    }


@shared_task(name="py.quiet", ignore_result=True)
def quiet(value):
    return value


# Tasks that do not succeed.


@shared_task(name="py.fail")
def fail(message):
    raise ValueError(message)


@shared_task(name="py.fail_custom")
def fail_custom(article, count):
    raise OutOfStock(article, count)


@shared_task(name="py.ignore")
def ignore():
    raise Ignore()


@shared_task(name="py.reject")
def reject():
    raise Reject("no use for it", requeue=False)


# Tasks that ask to be run again.


@shared_task(name="py.retry_twice", bind=True)
def retry_twice(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return self.request.retries


@shared_task(
    name="py.retry_automatically",
    bind=True,
    autoretry_for=(ValueError,),
    max_retries=2,
    default_retry_delay=0,
)
def retry_automatically(self, attempt):
    if self.request.retries + 1 < attempt:
        int("not yet")
    return self.request.retries


@shared_task(name="py.retry_later", bind=True)
def retry_later(self):
    raise self.retry(exc=RuntimeError("printer is offline"), countdown=HOUR_SECS)


# Tasks that take their time. `gate` is a named pipe: they run on when somebody has written to it.


@shared_task(name="py.hold")
def hold(gate):
    with open(gate) as file:
        return file.read()


@shared_task(name="py.progress", bind=True)
def progress(self, gate, done, total):
    self.update_state(state="PROGRESS", meta={"done": done, "total": total})
    hold(gate)
    return total


@shared_task(name="py.endless", track_started=True)
def endless(gate):
    """Writes to the gate, which tells a test that it runs, and never ends by itself."""
    with open(gate, "w") as file:
        file.write("running")
    time.sleep(HOUR_SECS)


@shared_task(name="py.limited", time_limit=1)
def limited():
    time.sleep(HOUR_SECS)


# Tasks that send tasks.


@shared_task(name="py.spawn", bind=True)
def spawn(self, task, args, queue, count):
    """Sends `count` children of a task, which may be one of aipo's, and gives their ids."""
    return [self.app.send_task(task, args, queue=queue).id for _ in range(count)]


@shared_task(name="py.ask", bind=True)
def ask(self, task, args, queue):
    """Sends a task, which may be one of aipo's, and answers with its result."""
    with allow_join_result():
        return self.app.send_task(task, args, queue=queue).get(timeout=30)
