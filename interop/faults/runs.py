"""What the tasks recorded: each run begins and, unless it is cut off, is done."""

import dataclasses
from collections import defaultdict
from pathlib import Path


@dataclasses.dataclass
class Run:
    """One run of one task. Times are seconds since 1970."""

    number: int
    worker: int
    begun: float
    done: float | None = None


class Runs:
    """The file of runs, read as it grows."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.touch()
        self._offset = 0
        self._open = defaultdict(list)
        # The runs of each task, in the order in which they began.
        self.of = defaultdict(list)
        # When runs were done.
        self.done_at = []
        self.done = set()

    def read(self):
        """Reads what has been added."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            added = file.read()
        # Up to the last whole line.
        added = added[: added.rfind(b"\n") + 1]
        self._offset += len(added)
        for line in added.decode().splitlines():
            what, number, worker, now = line.split()
            self._take(what, int(number), int(worker), int(now) / 1e9)

    def _take(self, what, number, worker, now):
        if what == "begun":
            run = Run(number, worker, now)
            self.of[number].append(run)
            self._open[number, worker].append(run)
        else:
            self._open[number, worker].pop(0).done = now
            self.done_at.append(now)
            self.done.add(number)
