"""The Celery app of the example in `docs/celery.md`."""

from celery import Celery

app = Celery("shop")
# Where a task runs is decided here and nowhere else: moving one to Rust is a line in this map.
app.conf.task_routes = {"shop.total": {"queue": "rust"}}


@app.task(name="shop.receipt")
def receipt(name, total):
    return f"Dear {name}, you paid {total / 100:.2f}."
