"""Records every command that reaches a Redis server, as the server saw it.

Reading a list or a key afterwards races with the worker that empties or overwrites it; `MONITOR`
does not: each `LPUSH` and `SETEX` is kept with its exact bytes, in the order Redis ran them, so a
retried message and each intermediate state of a task can be looked at later.
"""

import ast
import json
import re
import socket
import threading
import time
import uuid

from redis import Redis

# One line is `+<time> [<db> <client>] "CMD" "arg" ...`, with Redis's own backslash escapes, all of
# which mean the same in a Python bytes literal.
ARGUMENT = re.compile(rb'"(?:[^"\\]|\\.)*"')
PATIENCE_SECS = 60


class Tap:
    """A live recording of one Redis server. Use as a context manager."""

    def __init__(self, port):
        self._client = Redis(port=port)
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._changed = threading.Condition()
        self._commands = []
        self._closed = False
        self._recorder = None

    def __enter__(self):
        self._socket.sendall(b"MONITOR\r\n")
        stream = self._socket.makefile("rb")
        assert stream.readline() == b"+OK\r\n", "MONITOR refused"
        self._recorder = threading.Thread(target=self._record, args=(stream,), daemon=True)
        self._recorder.start()
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._recorder.join()
        self._socket.close()
        self._client.close()

    def _record(self, stream):
        try:
            for line in stream:
                arguments = [ast.literal_eval("b" + a.decode("latin-1")) for a in ARGUMENT.findall(line)]
                with self._changed:
                    self._commands.append(arguments)
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()

    def mark(self):
        """A position in the recording, after everything the server has run so far."""
        token = uuid.uuid4().hex.encode()
        self._client.echo(token)

        def find(commands):
            return next((n for n, c in enumerate(commands, 1) if c[-1:] == [token]), None)

        return self.wait(0, find, "the recording to catch up")

    def wait(self, since, find, what):
        """Waits until `find`, given the commands after `since`, answers something other than None."""
        deadline = time.monotonic() + PATIENCE_SECS
        with self._changed:
            while True:
                found = find(self._commands[since:])
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    raise TimeoutError(f"gave up waiting for {what}")
                self._changed.wait(left)

    def nth_message(self, since, n, verb=b"LPUSH", where=lambda envelope: True):
        """The `n`-th (from 0) message pushed with `verb` after `since`, as its raw envelope text."""

        def find(commands):
            seen = [text for text in pushes(commands, verb) if where(json.loads(text))]
            return seen[n] if len(seen) > n else None

        return self.wait(since, find, f"message {n}")

    def stored(self, since, key, accept):
        """The first value written to `key` after `since` that `accept` agrees to, as text."""

        def find(commands):
            return next((text for text in writes(commands, key) if accept(text)), None)

        return self.wait(since, find, f"a value of {key}")

    def writes(self, since, key):
        """All values written to `key` after `since` up to now, oldest first."""
        until = self.mark()
        with self._changed:
            return list(writes(self._commands[since:until], key))


def pushes(commands, verb):
    """Messages that `commands` push to lists; Celery pushes nothing else."""
    for command in commands:
        if command[0].upper() == verb:
            yield command[2].decode()


def writes(commands, key):
    """Values that `commands` write to the string `key`."""
    for command in commands:
        # SET key value, SETEX key seconds value.
        position = {b"SET": 2, b"SETEX": 3}.get(command[0].upper())
        if position and command[1] == key.encode():
            # Metas in msgpack, and compressed ones, are no text; their bytes come out of it again.
            yield command[position].decode(errors="surrogateescape")
