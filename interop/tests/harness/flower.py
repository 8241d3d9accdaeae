"""Flower, asked over HTTP."""

import json
import threading
import urllib.error
import urllib.parse
import urllib.request

from .program import PATIENCE_SECS

# Flower has no signal for what it has heard; it is asked again at this pace.
PACE_SECS = 0.1


class Flower:
    """A running Flower."""

    def __init__(self, program, port):
        self.program = program
        self.url = f"http://127.0.0.1:{port}"
        self.program.wait_for_line("Connected to redis://")

    def ask(self, path, data=None, **query):
        """Status and text of an answer; with `data` it is a POST of JSON."""
        url = f"{self.url}{urllib.parse.quote(path)}"
        if query:
            url += "?" + urllib.parse.urlencode(query)
        request = urllib.request.Request(url)
        if data is not None:
            request.data = json.dumps(data).encode() if data else b""
            request.method = "POST"
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def get(self, path, **query):
        """The text of a page, which must be there."""
        status, text = self.ask(path, **query)
        assert status == 200, f"{path}: {status}\n{text}\n{self.program.output}"
        return text

    def json(self, path, **query):
        return json.loads(self.get(path, **query))

    def post(self, path, data=None, **query):
        """The answer to a POST, which must succeed."""
        status, text = self.ask(path, data or {}, **query)
        assert status == 200, f"{path}: {status}\n{text}\n{self.program.output}"
        return json.loads(text)

    def until(self, question):
        """Asks until the answer is yes; gives it."""
        pause = threading.Event()
        for _ in range(int(PATIENCE_SECS / PACE_SECS)):
            if answer := question():
                return answer
            pause.wait(PACE_SECS)
        raise AssertionError(f"Flower has not heard of it\n{self.program.output}")

    def knows(self, task_id, state):
        """Waits until it has heard of a task's state; gives what it knows of the task."""

        def asked():
            status, text = self.ask(f"/api/task/info/{task_id}")
            info = json.loads(text) if status == 200 else {}
            return info if info.get("state") == state else None

        return self.until(asked)
