"""The Python side of the tests beside aipo: a plain Celery app, found by `celery -A pyapp`."""

from pyapp.celery_app import app

__all__ = ["app"]
