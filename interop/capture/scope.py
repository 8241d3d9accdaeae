"""The names that the expressions in the case tables may use.

A case is the text of a Python expression; the golden file carries that very text. It is evaluated
with the names below and nothing else, so a reader of a golden file can tell what was called.
"""

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from celery import Celery, chain, chord, chunks, group, signature
from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import schedule

import tasks


def app_with(**settings):
    """An app with the same tasks and these settings; all else is Celery's default."""
    app = Celery("tasks", set_as_current=False)
    app.conf.update(settings)
    return app


def beat(app, **entry):
    """Sends what beat sends when this entry is due."""
    scheduler = Scheduler(app=app, lazy=True)
    return scheduler.apply_async(ScheduleEntry(name="entry", app=app, **entry))


def evaluate(expression):
    """The value of a case's expression."""
    names = {name: value for name, value in vars(tasks).items() if not name.startswith("__")}
    return eval(
        expression,
        {
            **names,
            "app_with": app_with,
            "beat": beat,
            "chain": chain,
            "chord": chord,
            "chunks": chunks,
            "group": group,
            "signature": signature,
            "date": date,
            "datetime": datetime,
            "time": time,
            "timedelta": timedelta,
            "timezone": timezone,
            "schedule": schedule,
            "Decimal": Decimal,
            "UUID": UUID,
            "ZoneInfo": ZoneInfo,
        },
    )
