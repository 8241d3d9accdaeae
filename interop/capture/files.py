"""Golden files: when two captures say the same, and what is written.

Ids, clocks, process ids and line numbers differ in every capture. A file is rewritten only when
something else differs, so the diff of a new capture shows what changed in Celery and nothing more.
"""

import base64
import json
import re

# What may differ between two captures of the same behaviour, and what stands for it in a comparison.
VARYING = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    # Hours and minutes alone would also match the fixed times of the cases: the clock shows microseconds.
    (re.compile(r"\d{4}-\d\d-\d\d(T| )\d\d:\d\d:\d\d\.\d{6}(?!Z)"), "<time>"),
    (re.compile(r"gen\d+@[\w.-]+"), "<client>"),
    (re.compile(r'"pid": \d+'), '"pid": <pid>'),
    (re.compile(r"Job: \d+"), "Job: <job>"),
    (re.compile(r'File \\*"[^"]*?([\w.]+)\\*", line \d+'), r"File <\1>"),
    (re.compile(r'"expiration": "\d{7,}"'), '"expiration": "<ms>"'),
    (re.compile(r" at 0x[0-9a-f]+"), " at <address>"),
]

# Where Python and its packages lie on the machine of the capture, which is nobody's business: a
# traceback keeps the path from `python3.11/` on, and of `tasks.py` the name.
MACHINE_PATH = re.compile(r'(File \\*")/[^"\\]*?/(python3\.\d+/|(?=tasks\.py))')


class Folder:
    """One folder of golden files, written or checked by name."""

    def __init__(self, path, check):
        self._path = path
        self._check = check
        self._seen = set()
        self.changed = []

    def put(self, name, golden):
        """Writes a golden, or only notes that it differs when checking."""
        assert name not in self._seen, f"two goldens are called {name}"
        self._seen.add(name)
        file = self._path / f"{name}.json"
        if file.exists() and comparable(json.loads(file.read_text())) == comparable(golden):
            return
        self.changed.append(str(file))
        if not self._check:
            self._path.mkdir(parents=True, exist_ok=True)
            text = json.dumps(golden, indent=2, ensure_ascii=False, allow_nan=False)
            file.write_text(MACHINE_PATH.sub(r"\1\2", text) + "\n")

    def finish(self):
        """Removes files that no case makes any more, or notes them when checking."""
        for file in sorted(self._path.glob("*.json")):
            if file.stem not in self._seen:
                self.changed.append(str(file))
                if not self._check:
                    file.unlink()


def put_table(file, rows, check):
    """Writes `repr.json`, one row a line. Gives the changed files, as `Folder.changed` does."""
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    if file.exists() and file.read_text() == text:
        return []
    if not check:
        file.write_text(text)
    return [str(file)]


def comparable(golden):
    """The golden as text without what differs in every capture."""
    envelope = golden.get("envelope")
    if envelope and (golden["body"] is not None or "json" in golden):
        # The text is in `body` or `json`; its base64 form hides ids from the masks, and compressors vary by release.
        assert base64.b64decode(envelope["body"]), "empty body"
        golden = {**golden, "envelope": {**envelope, "body": "<body>"}}
    if "stored" in golden:
        # The same of a result: its text is in `meta`.
        golden = {**golden, "stored": "<stored>"}
    text = json.dumps(golden, ensure_ascii=False)
    # JSON inside JSON: undo one level of quoting, so that one set of patterns fits headers, bodies and metas.
    text = text.replace('\\"', '"')
    for pattern, stand_in in VARYING:
        text = pattern.sub(stand_in, text)
    return text
