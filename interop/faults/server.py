"""A Redis server that can be restarted, and stopped for a while."""

import os
import shutil
import signal
import time

from harness.program import Program
from harness.server import connect, free_port


class Server:
    """`redis-server` on a free port, its data in `folder`, written to disk each second."""

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        program = shutil.which("redis-server")
        if program is None:
            raise SystemExit("redis-server is not installed")
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": folder,
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
        }
        self._words = [program, *(word for name, value in options.items() for word in (f"--{name}", value))]
        self._start()

    def _start(self):
        self._program = Program(self._words)
        self._program.wait_for_line("Ready to accept connections")

    def restart(self, _seconds):
        """Ends it as an operator would, and starts it again."""
        self._program.ask_to_stop()
        self._program.wait()
        self._start()

    def freeze(self, seconds):
        """Stops it where it is for some seconds: connections stay open, and nobody answers."""
        os.kill(self._program.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(self._program.pid, signal.SIGCONT)

    def connect(self):
        """A client."""
        return connect(self.port, 0)

    def stop(self):
        """Ends it."""
        self._program.ask_to_stop(signal.SIGCONT)
        self._program.stop()
