"""The command line: `python -m faults [--fleets aipo,celery,celery-late] [--tasks N] …`.

Exit codes: 0 all promises hold for aipo, 1 one does not, 2 a command line that makes no sense.
"""

import argparse
import dataclasses
import signal
import sys
import tempfile
from pathlib import Path

from .fleet import FLEETS
from .trial import Plan, run
from .verdict import figures


def main():
    plan, fleets = arguments()
    # So that what was started is ended also when the run itself is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    columns = {}
    for name in fleets:
        fleet = FLEETS[name]()
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            columns[name] = (fleet.title, figures(run(fleet, plan, Path(folder), say)))
    print(table(columns.values()))
    broken = [figure for figure in columns.get("aipo", ("", []))[1] if figure.holds is False]
    for figure in broken:
        say(f"aipo: a promise does not hold: {figure.what}: {figure.value}")
    return 1 if broken else 0


def arguments():
    parser = argparse.ArgumentParser(prog="faults", description="Tasks, while workers are killed and Redis goes away.")
    parser.add_argument("--fleets", default="aipo", help=f"of {', '.join(FLEETS)}, with commas between them; aipo")
    for field in dataclasses.fields(Plan):
        option = {"type": field.type, "default": field.default, "help": field.metadata["help"]}
        parser.add_argument(f"--{field.name}", metavar="N", **option)
    given = vars(parser.parse_args())
    fleets = given.pop("fleets").split(",")
    if unknown := set(fleets) - set(FLEETS):
        parser.error(f"there is no fleet {', '.join(sorted(unknown))}; there are {', '.join(FLEETS)}")
    return Plan(**given), fleets


def table(columns):
    """Rows of figures, a column for each fleet."""
    titles, columns = zip(*columns)
    lines = ["| | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    for row in zip(*columns):
        values = [f"{figure.value:,}" if isinstance(figure.value, int) else figure.value for figure in row]
        lines.append(f"| {row[0].what} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def say(text):
    print(text, file=sys.stderr, flush=True)


sys.exit(main())
