"""A named pipe to which tasks write lines, so that a test can wait for them."""

import os
import select

from .program import PATIENCE_SECS


class Lines:
    """Lines in the order in which they are written, by however many processes."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = str(path)
        # Open for writing too, so that it does not end when a task has written its line.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._read = b""

    def close(self):
        os.close(self._pipe)

    def wait_for(self, count):
        """All lines so far, once there are so many."""
        while self._read.count(b"\n") < count:
            ready, _, _ = select.select([self._pipe], [], [], PATIENCE_SECS)
            assert ready, f"{count} lines are awaited, and there are only {self._read.decode()!r}"
            self._read += os.read(self._pipe, select.PIPE_BUF)
        return self._read.decode().splitlines()
