"""Which task messages are captured, and how.

`SENT` are messages that a client sends: the first message after the call is kept. `FLOWS` need a
worker: the call is made, and some of the messages that follow it are kept, numbered from 0, the
client's own first one.
"""

import base64
import json
from importlib.metadata import version

from kombu.compression import decompress
from kombu.serialization import loads
from kombu.utils.json import dumps

from .scope import evaluate

READ_AS_JSON = {"application/x-msgpack", "application/x-yaml"}
SAO_PAULO = 'ZoneInfo("America/Sao_Paulo")'

SENT = {
    # Arguments.
    "plain_args": "add.delay(2, 3)",
    "no_args": "echo.delay()",
    "kwargs_only": "add.delay(x=2, y=3)",
    "mixed_args": "add.delay(2, y=3)",
    "list_args": "add.apply_async([2, 3])",
    "unicode_args": 'echo.delay("ol\u00e1, \u65e5\u672c\u8a9e \U0001f96c", n\u00e3o="s\u00ed")',
    "escaped_args": r"""echo.delay("tab\t newline\n quote\" apostrophe' backslash\\ nul\0")""",
    "nested_args": 'echo.delay([1, [2.5, [None, True]], {"a": {"b": [False, ""]}}])',
    # Times.
    "countdown": "add.apply_async((2, 3), countdown=30)",
    "countdown_sao_paulo": 'app_with(timezone="America/Sao_Paulo").tasks["tasks.add"].apply_async((2, 3), countdown=30)',
    "eta_aware": "add.apply_async((2, 3), eta=datetime(2030, 1, 2, 3, 4, 5, 678901, timezone.utc))",
    "eta_naive": "add.apply_async((2, 3), eta=datetime(2030, 1, 2, 3, 4, 5))",
    "eta_sao_paulo": f"add.apply_async((2, 3), eta=datetime(2030, 1, 2, 3, 4, 5, tzinfo={SAO_PAULO}))",
    "expires_seconds": "add.apply_async((2, 3), expires=60)",
    "expires_aware": "add.apply_async((2, 3), expires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc))",
    "expires_in_the_past": "add.apply_async((2, 3), expires=datetime(2020, 1, 1, tzinfo=timezone.utc))",
    "eta_and_expires": "add.apply_async((2, 3), countdown=30, expires=60.5)",
    # Options.
    "task_id_given": 'add.apply_async((2, 3), task_id="my-id")',
    "priority": "add.apply_async((2, 3), priority=9)",
    "priority_middle": "add.apply_async((2, 3), priority=5)",
    "time_limit_hard": "add.apply_async((2, 3), time_limit=10)",
    "time_limit_soft": "add.apply_async((2, 3), soft_time_limit=5)",
    "time_limits": "add.apply_async((2, 3), time_limit=10, soft_time_limit=5.5)",
    "ignore_result_true": "add.apply_async((2, 3), ignore_result=True)",
    "ignore_result_by_task": "quiet.delay(1)",
    "ignore_result_null": 'app.send_task("elsewhere.run", (2, 3))',
    "headers": 'add.apply_async((2, 3), headers={"x-tenant": "acme", "x-trace": {"span": 7}})',
    "shadow": 'add.apply_async((2, 3), shadow="addition")',
    "stamps": 'add.s(2, 3).stamp(customer="acme", tags=["a", "b"]).apply_async()',
    "stamps_with_link": 'add.s(2, 3).on_error(elsewhere("tasks.alarm")).stamp(customer="acme").apply_async()',
    "other_queue": 'add.apply_async((2, 3), queue="reports")',
    "exchange_and_routing_key": 'add.apply_async((2, 3), exchange="celery", routing_key="celery", exchange_type="direct")',
    "delivery_mode_transient": "add.apply_async((2, 3), delivery_mode=1)",
    "reply_to_given": 'add.apply_async((2, 3), reply_to="my-reply-queue")',
    "argsrepr_given": 'add.apply_async((2, 3), argsrepr="(***)", kwargsrepr="{***}")',
    "retries_given": "add.apply_async((2, 3), retries=2)",
    "beat": 'beat(app, task="tasks.add", args=[2, 3], schedule=schedule(30), options={"expires": 30})',
    # Canvas.
    "link": "add.apply_async((2, 3), link=add.s(10))",
    "link_many": 'add.apply_async((2, 3), link=[add.s(10), add.si(1, 1), echo.s(note="done")])',
    "link_error": 'add.apply_async((2, 3), link_error=elsewhere("tasks.alarm"))',
    "link_with_options": 'add.apply_async((2, 3), link=add.s(10).set(queue="reports", countdown=5, priority=3, expires=60))',
    "chain": "chain(add.s(1, 2), add.s(3), add.s(4)).apply_async()",
    "chain_of_immutable": "chain(add.si(1, 2), add.si(3, 4)).apply_async()",
    "chain_with_options": 'chain(add.s(1, 2), add.s(3).set(queue="reports", countdown=5, time_limit=9)).apply_async(link=add.s(9))',
    "chain_with_link_error": 'chain(add.s(1, 2), add.s(3)).apply_async(link_error=elsewhere("tasks.alarm"))',
    "chain_ending_in_group": "chain(add.s(1, 2), group(add.s(3), add.s(4))).apply_async()",
    "chain_with_group_inside": "chain(add.s(1, 2), group(add.s(3), add.s(4)), tsum.s()).apply_async()",
    "group_member": "group(add.s(1, 2), add.s(3, 4)).apply_async()",
    "group_member_chain": "group(chain(add.s(1, 2), add.s(3)), add.s(3, 4)).apply_async()",
    "chord_header_member": "chord([add.s(1, 2), add.s(3, 4)])(tsum.s())",
    "chord_with_link_error": 'chord([add.s(1, 2), add.s(3, 4)])(tsum.s().on_error(elsewhere("tasks.alarm")))',
    "chord_then_task": "chain(chord([add.s(1, 2), add.s(3, 4)], tsum.s()), add.s(5)).apply_async()",
    "chord_of_one": "chord([add.s(1, 2)])(tsum.s())",
    "chord_empty_header": "chord([])(tsum.s())",
    "map": "tsum.map([[1, 2], [3, 4]]).apply_async()",
    "starmap": "add.starmap([(1, 2), (3, 4)]).apply_async()",
    "chunks_member": "add.chunks([(1, 2), (3, 4), (5, 6)], 2).apply_async()",
    # Protocol 1.
    "protocol_1": 'app_with(task_protocol=1).tasks["tasks.add"].delay(2, y=3)',
    "protocol_1_options": 'app_with(task_protocol=1).tasks["tasks.add"].apply_async('
    '(2, 3), countdown=30, expires=60, time_limit=9, link=add.s(10), link_error=elsewhere("tasks.alarm"))',
    "protocol_1_group_member": '[a := app_with(task_protocol=1).tasks["tasks.add"], group([a.s(1, 2), a.s(3, 4)]).apply_async()]',
    "protocol_1_msgpack": 'app_with(task_protocol=1).tasks["tasks.add"].apply_async((2,), {"y": 3}, serializer="msgpack")',
    "protocol_1_compressed": 'app_with(task_protocol=1).tasks["tasks.add"].apply_async((2,), {"y": 3}, compression="zlib")',
    "protocol_1_nan": 'app_with(task_protocol=1).tasks["tasks.echo"].delay(float("nan"), 2**64)',
    "protocol_1_chain": '[a := app_with(task_protocol=1).tasks["tasks.add"], chain(a.s(1, 2), a.s(3), a.s(4)).apply_async()]',
    # Values that JSON has no type for, and values that test its limits.
    "type_datetime_aware": "echo.delay(datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc))",
    "type_datetime_naive": "echo.delay(datetime(2026, 1, 2, 3, 4, 5))",
    "type_datetime_sao_paulo": f"echo.delay(datetime(2026, 1, 2, 3, 4, 5, tzinfo={SAO_PAULO}))",
    "type_date": "echo.delay(date(2026, 1, 2))",
    "type_time": "echo.delay(time(3, 4, 5), time(3, 4, 5, 60))",
    "type_decimal": 'echo.delay(Decimal("1.50"), Decimal("-1E+3"), Decimal("NaN"))',
    "type_uuid": 'echo.delay(UUID("12345678123456781234567812345678"))',
    "type_bytes_utf8": 'echo.delay("ol\u00e1".encode(), b"")',
    "type_bytes_binary": 'echo.delay(b"\\xff\\xfe")',
    "type_tuple": "echo.delay((1, (2,), ()))",
    "type_nested": 'echo.delay([{"when": date(2026, 1, 2), "price": [Decimal("9.90")]}], raw=b"\\xff")',
    "type_lookalike": 'echo.delay({"__type__": "date", "__value__": "2026-01-02", "more": 1})',
    "type_map_keys": 'echo.delay({1: "int", True: "bool", None: "null", 2.5: "float"})',
    "nan_and_infinity": 'echo.delay(float("nan"), float("inf"), float("-inf"))',
    "floats": "echo.delay(0.1, -0.0, 1e16, 1e-07, 1.7976931348623157e308, 5e-324)",
    "big_ints": "echo.delay(2**53 + 1, 2**63 - 1, -2**63, 2**64 - 1, 2**64, -2**63 - 1, 10**30)",
    "big_ints_in_chain": "chain(add.s(2**64, 1), echo.s(10**30, 0.1, 1e22)).apply_async()",
    # Long and deep values: argsrepr and kwargsrepr are cut.
    "repr_deep": 'echo.delay([[[[1]]]], deep={"a": {"b": {"c": {"d": 1}}}})',
    "repr_long_text": 'echo.delay("x" * 2000, note="lorem ipsum " * 200)',
    "repr_long_list": "echo.delay(list(range(1000)), numbers=list(range(1000)))",
    "repr_long_nested": 'echo.delay([{"name": "row %d" % n, "tags": [n, [n, [n]]]} for n in range(60)])',
    # Serializers and compression. The body text of a binary serializer is null, see README.md.
    "msgpack": 'add.apply_async((2,), {"y": 3}, serializer="msgpack")',
    "msgpack_types": 'echo.apply_async((b"\\xff", "ol\u00e1", 1.5, None, 2**63, -1), serializer="msgpack")',
    "msgpack_nested": 'echo.apply_async(([{"a": [None, {"b": b""}]}] * 20, "x" * 300, list(range(-40, 300, 17)), '
    '{"k%d" % n: n * 0.25 for n in range(20)}, [2**31, 2**32, -2**31 - 1, -2**63, 2**64 - 1]), serializer="msgpack")',
    "msgpack_nan": 'echo.apply_async((float("nan"), float("-inf"), 1e300), serializer="msgpack")',
    "msgpack_chain": 'chain(add.s(1, 2), echo.s(b"\\xff")).apply_async(serializer="msgpack")',
    "yaml": 'add.apply_async((2,), {"y": 3}, serializer="yaml")',
    "yaml_types": 'echo.apply_async(("ol\u00e1", 1.5, None, True, "yes", [date(2026, 1, 2)]), serializer="yaml")',
    "yaml_times": 'echo.apply_async((datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc), datetime(2026, 1, 2, 3, 4, 5), '
    f'datetime(2026, 1, 2, 3, 4, 5, 60, {SAO_PAULO}), {{"on": date(2026, 1, 2)}}), serializer="yaml")',
    "yaml_numbers": 'echo.apply_async((2**64, -10**30, 1e16, -1e-07, 0.1, -0.0, float("inf"), float("nan"), 0), serializer="yaml")',
    "yaml_texts": 'echo.apply_async(("", " a ", "yes", "012", "0x1f", "1:30", "1e5", "1.5", "~", "null", "2026-01-02", "- a", "# b", '
    '"a: b", "[", "<<", "=", "!t", "&a", "*a", "%", "@", "line\\nline\\n", "tab\\t", "\\x00\\x07\\x7f\\x85\\u2028\\ufeff", '
    '"\U0001f96c ol\u00e1", "it\'s \\"quoted\\" \\\\", "word " * 60, "\u65e5\u672c\u8a9e" * 50), serializer="yaml")',
    "yaml_collections": 'echo.apply_async(([], {}, [[]], [[1, [2, {"a": []}]]], {"b": {"c": [1]}, "a": "x" * 200, "y" * 200: 1}, '
    '{1: "int", 2.5: "float", None: "null", True: "bool"}, {3}, (1, (2,)), b"\\xff\\xfe" * 50, b"text"), serializer="yaml")',
    "yaml_aliases": "echo.apply_async([shared := [1, {'a': 2}], shared, {'k': shared}], serializer='yaml')",
    "pickle": 'add.apply_async((2,), {"y": 3}, serializer="pickle")',
    "compression_zlib": 'echo.apply_async(("ol\u00e1 " * 50,), compression="zlib")',
    "compression_bzip2": 'echo.apply_async(("ol\u00e1 " * 50,), compression="bzip2")',
    "compression_lzma": 'echo.apply_async(("ol\u00e1 " * 50,), compression="lzma")',
    "compression_zstd": 'echo.apply_async(("ol\u00e1 " * 50,), compression="zstd")',
    "compression_yaml": 'add.apply_async((2,), {"y": 3}, serializer="yaml", compression="zstd")',
    "compression_msgpack": 'add.apply_async((2,), {"y": 3}, serializer="msgpack", compression="zlib")',
}

FLOWS = {
    "retry_later.delay(1, a=2)": {1: "retry"},
    'retry_later.apply_async((1,), priority=3, expires=7200, time_limit=9, soft_time_limit=8, shadow="nick", '
    'headers={"x-tenant": "acme"}, ignore_result=True, argsrepr="(***)", '
    'link=add.s(10), link_error=elsewhere("tasks.alarm"))': {1: "retry_keeps_options"},
    'retry_later.s(1).stamp(customer="acme").apply_async()': {1: "retry_keeps_stamps"},
    "chain(retry_later.s(1), add.s(2)).apply_async()": {1: "retry_in_chain"},
    "chord([retry_later.s(1)])(tsum.s())": {1: "retry_in_chord"},
    "succeed_on_attempt.delay(3)": {2: "retry_second"},
    "replace_with_add.delay(1, 2)": {1: "replaced"},
    "chain(replace_with_add.s(1, 2), add.s(3)).apply_async()": {
        1: "replaced_in_chain",
        2: "replaced_chain_next",
    },
    "chord([replace_with_add.s(1, 2)])(tsum.s())": {1: "replaced_in_chord", 2: "replaced_chord_body"},
    "send_child.delay(1, 2)": {1: "child"},
    "send_children.delay([1, 2])": {1: "child_group_first", 2: "child_group_second"},
    "chain(add.s(1, 2), add.s(3), add.s(4)).apply_async()": {1: "chain_second", 2: "chain_last"},
    "chain(add.s(1, 2), group(add.s(3), add.s(4))).apply_async()": {
        1: "chain_group_first",
        2: "chain_group_last",
    },
    "chain(add.s(1, 2), group(add.s(3), add.s(4)), tsum.s(), add.s(5)).apply_async()": {
        1: "chain_chord_header",
        3: "chain_chord_body",
        4: "chain_chord_next",
    },
    "chord([add.s(1, 2), add.s(3, 4)])(tsum.s())": {2: "chord_body"},
    "group(chain(add.s(1, 2), add.s(3)), add.s(3, 4)).apply_async()": {2: "group_chain_last"},
    "add.apply_async((2, 3), link=add.s(10))": {1: "callback"},
    "add.apply_async((2, 3), link=[add.s(10), add.s(20)])": {1: "callback_of_two"},
    'fail.apply_async(("boom",), link_error=elsewhere("tasks.alarm"))': {1: "errback"},
    'chord([fail.s("boom"), add.s(1, 1)])(tsum.s().on_error(elsewhere("tasks.alarm")))': {2: "chord_errback"},
    'add.s(2, 3).set(link=add.s(1)).stamp(customer="acme").apply_async()': {1: "callback_stamped"},
}

# Taken by the worker, held for its ETA, and pushed back by the worker's shutdown.
RETURNED = ("redelivered", "add.apply_async((2, 3), countdown=3600)")


def capture_sent(tap):
    """The goldens of `SENT`, by name."""
    for name, call in SENT.items():
        since = tap.mark()
        evaluate(call)
        yield name, golden(call, tap.nth_message(since, 0))


def capture_flows(tap, settle):
    """The goldens of `FLOWS`, by name. `settle` returns when the worker has nothing left to do."""
    for call, wanted in FLOWS.items():
        since = tap.mark()
        evaluate(call)
        for number, name in wanted.items():
            yield name, golden(call, tap.nth_message(since, number))
        settle()


def capture_returned(tap, stop_worker):
    """The golden of `RETURNED`, with its name."""
    name, call = RETURNED
    since = tap.mark()
    task_id = evaluate(call).id

    def held(commands):
        return any(c[0].upper() == b"HSET" and task_id.encode() in c[-1] for c in commands) or None

    def is_mine(envelope):
        return envelope["headers"].get("id") == task_id

    tap.wait(since, held, "the worker to hold the message")
    stop_worker()
    return name, golden(call, tap.nth_message(since, 0, verb=b"RPUSH", where=is_mine))


def golden(call, raw):
    """What a golden file says of one message."""
    envelope = json.loads(raw)
    return {
        "celery": version("celery"),
        "kombu": version("kombu"),
        "call": call,
        "envelope": envelope,
        "body": body_text(envelope),
        **body_as_json(envelope),
    }


def serialized_body(envelope):
    """The body after base64 and decompression."""
    body = base64.b64decode(envelope["body"])
    compression = envelope["headers"].get("compression")
    return decompress(body, compression) if compression else body


def body_as_json(envelope):
    """What the body would be in JSON, where it is in another serialisation that aipo reads."""
    if envelope["content-type"] not in READ_AS_JSON:
        return {}
    value = loads(serialized_body(envelope), envelope["content-type"], envelope["content-encoding"], force=True)
    return {"json": dumps(without_sets(value))}


def without_sets(value):
    """The value with lists in place of sets, which JSON has not."""
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, dict):
        return {key: without_sets(part) for key, part in value.items()}
    return [without_sets(part) for part in value] if isinstance(value, list) else value


def body_text(envelope):
    """The body as text, or None where the serializer makes bytes."""
    body = serialized_body(envelope)
    return None if envelope["content-encoding"] == "binary" else body.decode(envelope["content-encoding"])
