"""Whether kombu and Celery read what aipo writes: `golden/written.json`, which a Rust test makes and keeps.

A row is a message (headers, content type and encoding, the body in base64) or a stored result, and under
`json` the value that Python shall read, in kombu's JSON.
"""

import base64
import json

from kombu.message import Message
from kombu.serialization import prepare_accept_content
from kombu.utils.json import dumps, loads

from .scope import app_with

ACCEPT = ["json", "msgpack", "yaml"]


def check(file):
    """Reads every row; raises AssertionError for the first that is not read as it should be."""
    rows = json.loads(file.read_text())
    assert len(rows) == 30, f"{len(rows)} rows in {file}"
    for row in rows:
        expected = loads(dumps(row["json"]))
        read = read_message(row) if "body" in row else read_result(row)
        # As text, since `1 == 1.0 == True`.
        assert as_text(read) == as_text(expected), f"{read!r}\nis not\n{expected!r}"
    return len(rows)


def as_text(value):
    return dumps(value, sort_keys=True)


def read_message(row):
    """The body, read the way a consumer does, which also undoes the compression that the headers name."""
    message = Message(
        body=base64.b64decode(row["body"]),
        content_type=row["content-type"],
        content_encoding=row["content-encoding"],
        headers=row["headers"],
        accept=prepare_accept_content(ACCEPT),
    )
    return message.payload


def read_result(row):
    """The meta, read the way `AsyncResult` does by a reader who has the writer's `result_serializer`."""
    app = app_with(result_serializer=row["serializer"], accept_content=ACCEPT)
    return app.backend.decode(base64.b64decode(row["stored"]))
