"""Makes the app.

A worker takes its addresses from Celery's own variables `CELERY_BROKER_URL` and `CELERY_RESULT_BACKEND`; other
settings can be given as a JSON map in `INTEROP_CONF`. A test makes an app of its own for each database.
"""

import json
import os

from celery import Celery


def make_app(url=None, backend=None, **conf):
    """A Celery app on one Redis database, unless results go to another; with default settings but for those given."""
    include = ["pyapp.tasks", "pyapp.shared", "pyapp.trial"]
    app = Celery("pyapp", broker=url, backend=backend or url, include=include, set_as_current=False)
    app.conf.update(conf)
    return app


app = make_app(**json.loads(os.environ.get("INTEROP_CONF", "{}")))
app.set_current()
