"""A child process whose lines of output can be waited for."""

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque

# How long anything may take before a test gives up. Long, since nothing is proved by being slow.
PATIENCE_SECS = 60
# How long a program may take to end after it was asked to.
STOP_SECS = 20


class Program:
    """A running program. It is the leader of a process group, which ends with it."""

    def __init__(self, argv, env=None, cwd=None):
        self.argv = [str(word) for word in argv]
        self.lines = []
        self._unread = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.process = subprocess.Popen(
            self.argv,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self):
        return self.process.pid

    @property
    def output(self):
        """All that it has written so far."""
        with self._changed:
            return "".join(self.lines)

    def _read(self):
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_for_line(self, text, count=1):
        """Returns the `count`-th line that holds the text, when there is one."""

        def found():
            hits = [line for line in self.lines if text in line]
            return hits[count - 1] if len(hits) >= count else None

        with self._changed:
            self._changed.wait_for(lambda: found() or self._closed, PATIENCE_SECS)
            if line := found():
                return line
        raise AssertionError(f"{self.argv[0]} has not written {text!r}:\n{self.output}")

    def ask_to_stop(self, number=signal.SIGTERM):
        """Sends it a signal and does not wait."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def wait(self):
        """Waits for its end, and gives its exit status."""
        return self.process.wait(PATIENCE_SECS)

    def stop(self, number=signal.SIGTERM):
        """Ends it as its user would, by force where it does not listen; gives its exit status."""
        self.ask_to_stop(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECS)
        self.kill()
        return self.process.returncode

    def kill(self):
        """Ends it and all its children at once. A child may have outlived it, such as one that waits at a gate."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_SECS)
        self._reader.join(STOP_SECS)
