"""Which result metas are captured, and how.

`STORED` lists calls with the state whose meta is kept; `EXTENDED` the same for a worker that runs with
`result_extended`. `FORMATTED` are metas in other serialisations and compressed. `SILENT` are calls after which nothing at all is stored. The functions below them
are calls that need more than one step; they too keep the text of each step.
"""

import base64
import json

from celery.backends.base import decompress_payload
from kombu.serialization import registry
from kombu.utils.json import dumps
from redis import Redis

import tasks

from .scope import evaluate

STORED = {
    # Values.
    "success_int": ("add.delay(2, 3)", "SUCCESS"),
    "success_null": ("echo.delay(None)", "SUCCESS"),
    "success_bool": ("echo.delay(True)", "SUCCESS"),
    "success_float": ("echo.delay(1e16)", "SUCCESS"),
    "success_nan": ('echo.delay(float("nan"))', "SUCCESS"),
    "success_text": ('echo.delay("ol\u00e1 \U0001f96c \\"quoted\\"\\n")', "SUCCESS"),
    "success_list": ('echo.delay([1, "a", [None, {}]])', "SUCCESS"),
    "success_map": ('echo.delay({"a": {"b": [1, 2.5]}})', "SUCCESS"),
    "success_tuple": ("echo.delay(1, 2)", "SUCCESS"),
    "success_big_int": ("echo.delay(2**64)", "SUCCESS"),
    "success_datetime": ("echo.delay(datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc))", "SUCCESS"),
    "success_decimal": ('echo.delay(Decimal("1.50"))', "SUCCESS"),
    "success_uuid": ('echo.delay(UUID("12345678123456781234567812345678"))', "SUCCESS"),
    "success_bytes": ('echo.delay(b"\\xff")', "SUCCESS"),
    # Relations.
    "success_with_child": ("send_child.delay(1, 2)", "SUCCESS"),
    "success_with_group_child": ("send_children.delay([1, 2])", "SUCCESS"),
    "success_with_callback": ("add.apply_async((1, 2), link=add.s(3))", "SUCCESS"),
    "success_in_chain_first": ("chain(add.s(1, 2), add.s(3)).apply_async().parent", "SUCCESS"),
    "success_in_chain_last": ("chain(add.s(1, 2), add.s(3)).apply_async()", "SUCCESS"),
    "success_in_group": ("group(add.s(1, 2), add.s(3, 4)).apply_async()[0]", "SUCCESS"),
    "success_in_chord_header": ("chord([add.s(1, 2), add.s(3, 4)])(tsum.s()).parent[0]", "SUCCESS"),
    "success_chord_body": ("chord([add.s(1, 2), add.s(3, 4)])(tsum.s())", "SUCCESS"),
    "success_map_task": ("tsum.map([[1, 2], [3, 4]]).apply_async()", "SUCCESS"),
    "success_replaced": ("replace_with_add.delay(1, 2)", "SUCCESS"),
    "success_after_retries": ("succeed_on_attempt.delay(3)", "SUCCESS"),
    "success_stamped": ('add.s(1, 2).stamp(customer="acme", tags=["a"]).apply_async()', "SUCCESS"),
    # Failures.
    "failure_builtin": ('fail.delay("boom", 42)', "FAILURE"),
    "failure_no_arguments": ("fail.delay()", "FAILURE"),
    "failure_map_argument": ('fail.delay({"seats": [1, 2]}, None)', "FAILURE"),
    "failure_custom": ('fail_custom.delay("blue", 12)', "FAILURE"),
    "failure_nested_class": ("fail_nested_class.delay()", "FAILURE"),
    "failure_with_cause": ('fail_with_cause.delay("room")', "FAILURE"),
    "failure_opaque_argument": ("fail_with_opaque_argument.delay()", "FAILURE"),
    "failure_opaque_result": ("return_opaque.delay()", "FAILURE"),
    "failure_bad_arguments": ('app.send_task("tasks.add", ())', "FAILURE"),
    "failure_unexpected_argument": ('app.send_task("tasks.add", (1,), {"z": 2})', "FAILURE"),
    "failure_wrong_type": ('add.delay(1, "two")', "FAILURE"),
    "failure_unknown_task": ('app.send_task("tasks.nowhere", (1,))', "FAILURE"),
    "failure_soft_time_limit": ("sleep_for.apply_async((60,), soft_time_limit=1)", "FAILURE"),
    "failure_hard_time_limit": ("sleep_for.apply_async((60,), time_limit=1)", "FAILURE"),
    "failure_worker_lost": ("die.delay()", "FAILURE"),
    "failure_retries_exceeded": ("retry_later.apply_async((1,), retries=3)", "FAILURE"),
    "failure_retries_exceeded_without_cause": ("retry_plain.delay()", "FAILURE"),
    "failure_rejected": ("reject.delay()", "FAILURE"),
    "failure_left_in_chain": ('chain(fail.s("boom"), add.s(1)).apply_async()', "FAILURE"),
    "failure_chord_body": ('chord([fail.s("boom"), add.s(1, 1)])(tsum.s())', "FAILURE"),
    # Other states.
    "started": ("sleep_for.delay(0)", "STARTED"),
    "retry": ("retry_later.delay(1)", "RETRY"),
    "custom_state": ("progress.delay(1, 4)", "PROGRESS"),
    "revoked_expired": (
        "add.apply_async((1, 2), expires=datetime(2020, 1, 1, tzinfo=timezone.utc))",
        "REVOKED",
    ),
}

EXTENDED = {
    "extended_success": ("add.delay(2, y=3)", "SUCCESS"),
    "extended_failure": ('fail.delay("boom")', "FAILURE"),
    "extended_retry": ("retry_later.delay(1)", "RETRY"),
    "extended_unknown_task": ('app.send_task("tasks.nowhere", (1,))', "FAILURE"),
    "extended_stamped": ('add.s(1, 2).stamp(customer="acme", tags=["a"]).apply_async()', "SUCCESS"),
    "extended_in_chord_header": ("chord([add.s(1, 2)])(tsum.s()).parent[0]", "SUCCESS"),
    "extended_routed": ('add.apply_async((1, 2), exchange="celery", routing_key="celery")', "SUCCESS"),
}

# Written by a backend with these settings, which every result that a worker stores goes through.
FORMATTED = {
    "format_msgpack": 'app_with(result_serializer="msgpack").backend.store_result("id", [2, "ol\u00e1", b"\\xff", None], "SUCCESS")',
    "format_msgpack_failure": 'app_with(result_serializer="msgpack").backend.store_result("id", ValueError("boom", 42), "FAILURE")',
    "format_yaml": 'app_with(result_serializer="yaml").backend.store_result("id", ["ol\u00e1", date(2026, 1, 2), 1e16], "SUCCESS")',
    "format_yaml_failure": 'app_with(result_serializer="yaml").backend.store_result("id", ValueError("boom", 42), "FAILURE")',
    "format_zlib": 'app_with(result_compression="zlib").backend.store_result("id", "ol\u00e1 " * 50, "SUCCESS")',
    "format_bzip2": 'app_with(result_compression="bzip2").backend.store_result("id", "ol\u00e1 " * 50, "SUCCESS")',
    "format_xz": 'app_with(result_compression="xz").backend.store_result("id", "ol\u00e1 " * 50, "SUCCESS")',
    "format_zstd": 'app_with(result_compression="zstd").backend.store_result("id", "ol\u00e1 " * 50, "SUCCESS")',
    "format_msgpack_zlib": 'app_with(result_serializer="msgpack", result_compression="zlib")'
    '.backend.store_result("id", {"a": [1]}, "SUCCESS")',
}

SILENT = {
    "not_stored_ignore_raised": "ignore.delay()",
    "not_stored_ignore_result_task": "quiet.delay(1)",
    "not_stored_ignore_result_call": "add.apply_async((1, 2), ignore_result=True)",
    "not_stored_ignored_failure": 'fail.apply_async(("boom",), ignore_result=True)',
    "not_stored_ignored_retry": "retry_later.apply_async((1,), ignore_result=True)",
    "not_stored_unreadable_eta": 'add.apply_async((1, 2), eta="soon")',
    "not_stored_refused_content": 'add.apply_async((1, 2), serializer="yaml")',
}


def capture_stored(tap, cases):
    """The goldens of `STORED` or `EXTENDED`, by name."""
    for name, (call, state) in cases.items():
        since = tap.mark()
        yield name, golden(tap, since, call, evaluate(call).id, state)


def capture_formatted(tap):
    """The goldens of `FORMATTED`, by name."""
    for name, call in FORMATTED.items():
        since = tap.mark()
        Redis.from_url(tasks.app.conf.result_backend).delete(task_key("id"))
        evaluate(call)
        stored = tap.stored(since, task_key("id"), lambda text: True).encode("utf-8", "surrogateescape")
        serialized = decompress_payload(stored)
        serializer = "msgpack" if "msgpack" in name else "yaml" if "yaml" in name else "json"
        content_type, encoding, _ = registry._encoders[serializer]
        meta = registry.loads(serialized, content_type, encoding, force=True)
        yield name, {
            "call": call,
            "key": task_key("id"),
            "meta": dumps(meta),
            "stored": base64.b64encode(stored).decode(),
        }


def capture_silent(tap, settle):
    """The goldens of `SILENT`, by name. `settle` returns when the worker has nothing left to do."""
    for name, call in SILENT.items():
        since = tap.mark()
        key = task_key(evaluate(call).id)
        settle()
        written = tap.writes(since, key)
        assert not written, f"{call} was expected to store nothing, but stored {written}"
        yield name, {"call": call, "key": key, "meta": None}


def capture_steps(tap):
    """Goldens that take several steps: revokes and a saved group."""
    yield revoked_before_it_was_sent(tap)
    yield revoked_while_queued(tap)
    yield revoked_while_running(tap)
    yield saved_group(tap)


def revoked_before_it_was_sent(tap):
    """The meta that the revoke command itself makes the worker write."""
    call = 'app.control.revoke("never-sent")'
    since = tap.mark()
    evaluate(call)
    return "revoked_unknown_id", golden(tap, since, call, "never-sent", "REVOKED")


def revoked_while_queued(tap):
    """The meta written when the worker meets a message it was told to drop; the second for this id."""
    call = 'app.control.revoke("revoked-id"); add.apply_async((1, 2), task_id="revoked-id")'
    revoke, send = call.split("; ")
    since = tap.mark()
    evaluate(revoke)
    golden(tap, since, call, "revoked-id", "REVOKED")
    since = tap.mark()
    evaluate(send)
    return "revoked_queued", golden(tap, since, call, "revoked-id", "REVOKED")


def revoked_while_running(tap):
    """The meta of a task whose process is ended by the revoke."""
    call = (
        'sleep_for.apply_async((60,), task_id="running-id"); app.control.revoke("running-id", terminate=True)'
    )
    send, revoke = call.split("; ")
    since = tap.mark()
    evaluate(send)
    golden(tap, since, call, "running-id", "STARTED")
    evaluate(revoke)
    return "revoked_terminated", golden(tap, since, call, "running-id", "REVOKED")


def saved_group(tap):
    """The meta that `GroupResult.save` writes."""
    call = "[r := group(add.s(1, 2), add.s(3, 4)).apply_async(), r.save()][0]"
    since = tap.mark()
    key = f"celery-taskset-meta-{evaluate(call).id}"
    return "group_saved", {"call": call, "key": key, "meta": tap.stored(since, key, lambda text: True)}


def golden(tap, since, call, task_id, state):
    """What a golden file says of one meta: the first one of that state."""
    key = task_key(task_id)

    def in_state(text):
        return json.loads(text)["status"] == state

    return {"call": call, "key": key, "meta": tap.stored(since, key, in_state)}


def task_key(task_id):
    return f"celery-task-meta-{task_id}"
