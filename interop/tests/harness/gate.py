"""A named pipe on which a task waits: a test knows when the task runs, and says when it goes on.

Nothing is timed: opening a pipe waits until somebody opens its other end.
"""

import os
import threading

from .program import PATIENCE_SECS


class Gate:
    """One gate, for one task."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = str(path)
        self._file = None

    def wait_until_somebody_waits(self):
        """Returns when a task has come to the gate, for tasks that read from it."""
        self._file = self._within_patience(lambda: open(self.path, "w"))

    def open(self, text="open"):
        """Lets the task go on, with a text; waits for it to come first."""
        if self._file is None:
            self.wait_until_somebody_waits()
        self._file.write(text)
        self._file.close()
        self._file = None

    def read(self):
        """What a task writes to the gate, for tasks that tell that they run."""

        def read():
            with open(self.path) as file:
                return file.read()

        return self._within_patience(read)

    def _within_patience(self, work):
        """Does in a thread what can't be given a timeout."""
        answers = []
        thread = threading.Thread(target=lambda: answers.append(work()), daemon=True)
        thread.start()
        thread.join(PATIENCE_SECS)
        assert answers, f"no task has come to {self.path}"
        return answers[0]
