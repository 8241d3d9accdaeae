"""Starts jobs of the program `apps/inventory` from plain Celery, and reads what became of them.

    inventory worker --broker redis://127.0.0.1:6379/0          # the Rust program, in some folder
    python interop/inventory.py --folder THAT_FOLDER --broker redis://127.0.0.1:6379/0

As a Python program beside it would, this one shares the database and the folder of files, announces a job in the
table `task_notification`, and sends its task by name. It knows nothing of aipo. Exit code 1 when something is
not as it must be.
"""

import argparse
import contextlib
import csv
import sqlite3
import time
import uuid
from pathlib import Path

from celery import Celery

PATIENCE_SECS = 60
# The price of the second product is none.
CATALOGUE = """sku;name;category;cost_price;price
{mark}-1;Aipo;Verduras;2,50;4,00
{mark}-2;Salsa;Verduras;2,50;quatro
{mark}-3;Cebola;Verduras;1,20;2,10
"""


def main():
    options = arguments()
    # So that it can be run again: the program takes each SKU once.
    mark = uuid.uuid4().hex[:8].upper()
    with (
        Celery("beside-inventory", broker=options.broker, backend=options.broker) as app,
        contextlib.closing(sqlite3.connect(options.folder / "inventory.db", isolation_level=None)) as database,
    ):
        import_catalogue(app, database, options.folder, mark)
        export_products(app, database, options.folder, mark)


def import_catalogue(app, database, folder, mark):
    """The task is told which notification it is for, as most Celery programs do it."""
    file = f"uploads/{uuid.uuid4()}.csv"
    (folder / "inventory-media" / file).write_text(CATALOGUE.format(mark=mark))
    number = announce(database, uuid.uuid4(), "import", file=file)

    result = app.send_task("app.tasks.import_data_async", [number])

    report = result.get(timeout=PATIENCE_SECS)
    print(f"import {result.id}: {report}")
    expect(report, {"notification_id": number, "records": 2, "rejected": 1})
    rejected = database.execute("SELECT line, field FROM import_rejection WHERE notification_id = ?", [number])
    expect(rejected.fetchall(), [(3, "price")])


def export_products(app, database, folder, mark):
    """The task finds its notification by its own id, which is chosen before it is sent."""
    task_id = str(uuid.uuid4())
    number = announce(database, task_id, "export", format="csv")

    result = app.send_task("app.tasks.export_data_async", task_id=task_id)

    report = result.get(timeout=PATIENCE_SECS)
    print(f"export {result.id}: {report}")
    expect((report["notification_id"], report["rejected"]), (number, 0))
    status, file = database.execute("SELECT status, file FROM task_notification WHERE id = ?", [number]).fetchone()
    expect(status, "completed")
    with (folder / "inventory-media" / file).open(encoding="utf-8-sig", newline="") as exported:
        products = [row["SKU"] for row in csv.DictReader(exported, delimiter=";")]
    expect(len(products), report["records"])
    expect([sku for sku in products if sku.startswith(mark)], [f"{mark}-1", f"{mark}-3"])


def announce(database, task_id, kind, format=None, file=None):
    """Adds a job that is pending; gives the number of its notification."""
    now = time.time_ns() // 1_000_000
    row = (str(task_id), "ana", kind, "product", format, "pending", file, now, now)
    added = database.execute(
        "INSERT INTO task_notification (task_id, user, kind, model, format, status, file, created_at_ms, updated_at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )
    return added.lastrowid


def expect(found, wanted):
    if found != wanted:
        raise SystemExit(f"error: {found!r}, where there must be {wanted!r}")


def arguments():
    parser = argparse.ArgumentParser(description="Starts jobs of apps/inventory from plain Celery.")
    parser.add_argument("--broker", default="redis://127.0.0.1:6379/0")
    parser.add_argument("--folder", type=Path, default=".", help="where the inventory program runs")
    return parser.parse_args()


main()
