"""Captures what Celery really sends and stores, into `golden/`.

    python interop/capture_golden.py            write the golden files that changed
    python interop/capture_golden.py --check    write nothing; exit 1 when Celery now says something else

Starts its own redis-server and Celery workers, and ends them. Needs `requirements.txt` installed and
`redis-server` on the path. See README.md for the format of the files.
"""

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

from capture.files import Folder, put_table
from capture.servers import Worker, redis_server
from capture.tap import Tap

GOLDEN = Path(__file__).parent / "golden"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args().check

    if os.environ.get("PYTHONHASHSEED") != "0":
        # Celery keeps stamp names in sets: their order on the wire follows the hash seed.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})

    with tempfile.TemporaryDirectory(prefix="aipo-golden-") as name:
        folder = Path(name)
        with redis_server(folder) as port, Tap(port) as tap:
            url = f"redis://127.0.0.1:{port}/0"
            # Celery reads these itself; they must stand before the app is imported.
            os.environ.update(CELERY_BROKER_URL=url, CELERY_RESULT_BACKEND=url)
            try:
                changed = capture(tap, folder, url, check)
            except (AssertionError, TimeoutError) as error:
                log = folder / "worker.log"
                sys.exit(f"{error!r}\n{log.read_text() if log.exists() else 'no worker was started'}")

    for file in changed:
        print(("differs: " if check else "written: ") + file)
    print(f"{len(changed)} golden files {'differ' if check else 'changed'}", file=sys.stderr)
    sys.exit(1 if check and changed else 0)


def capture(tap, folder, url, check):
    """Runs all cases; gives the files that changed."""
    # Imported here because importing the app reads the addresses that `main` has set.
    import tasks
    from capture import messages, reprs, results, written

    rows = written.check(GOLDEN / "written.json")
    print(f"kombu reads the {rows} values that aipo wrote", file=sys.stderr)

    # Two cases send tasks that have expired already, which Celery warns about.
    logging.getLogger("celery.app.base").setLevel(logging.ERROR)

    def settle():
        """Returns when the worker has run all that was queued: it runs one task at a time."""
        tasks.echo.delay("settled").get(timeout=60)

    message_files = Folder(GOLDEN / "messages", check)
    result_files = Folder(GOLDEN / "results", check)

    for name, golden in messages.capture_sent(tap):
        message_files.put(name, golden)
    empty_the_queues()

    with Worker(folder, url) as worker:
        settle()
        for name, golden in messages.capture_flows(tap, settle):
            message_files.put(name, golden)
        for name, golden in results.capture_stored(tap, results.STORED):
            result_files.put(name, golden)
        settle()
        for name, golden in results.capture_silent(tap, settle):
            result_files.put(name, golden)
        for name, golden in results.capture_steps(tap):
            result_files.put(name, golden)
        settle()
        message_files.put(*messages.capture_returned(tap, worker.stop))
    for name, golden in results.capture_formatted(tap):
        result_files.put(name, golden)
    empty_the_queues()

    with Worker(folder, url, conf={"result_extended": True}):
        settle()
        for name, golden in results.capture_stored(tap, results.EXTENDED):
            result_files.put(name, golden)

    # A result object that is dropped later would tell the server so, and there is none by then.
    tasks.app.backend.result_consumer.subscribed_to.clear()
    message_files.finish()
    result_files.finish()
    table = put_table(GOLDEN / "repr.json", reprs.rows(), check)
    return message_files.changed + result_files.changed + table


def empty_the_queues():
    """Drops what is waiting, so that a new worker starts with nothing to do."""
    import tasks

    with tasks.app.connection_for_write() as connection:
        connection.default_channel.client.flushdb()


if __name__ == "__main__":
    main()
