"""Python sends, aipo runs."""

import datetime as dt
import os
import uuid
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from celery.exceptions import NotRegistered, TaskRevokedError
from kombu.exceptions import ContentDisallowed

from pyapp.celery_app import make_app

from harness.program import PATIENCE_SECS

UTC = dt.timezone.utc


@pytest.mark.parametrize(
    ("args", "kwargs", "greeting"),
    [
        (("Ana",), {}, "Hello, Ana!"),
        (("Ana", "Olá"), {}, "Olá, Ana!"),
        (("Ana", "Olá", "Dr."), {}, "Olá, Dr. Ana!"),
        ((), {"name": "Ana"}, "Hello, Ana!"),
        (("Ana",), {"title": "Dr."}, "Hello, Dr. Ana!"),
        ((), {"title": None, "greeting": "Hi", "name": "Ana"}, "Hi, Ana!"),
    ],
)
def test_arguments_by_position_name_and_default(duo, args, kwargs, greeting):
    assert duo.run("interop.greet", *args, kwargs=kwargs) == greeting
    # The same call does the same in Python.
    assert duo.run("py.greet", *args, kwargs=kwargs, queue="python") == greeting


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1, 2), {"z": 1}), (("one", 2), {})],
    ids=["missing", "too many", "twice", "unknown name", "wrong type"],
)
def test_arguments_that_do_not_fit_are_a_type_error(duo, args, kwargs):
    result = duo.send("interop.add", *args, kwargs=kwargs)

    with pytest.raises(TypeError) as raised:
        result.get(timeout=PATIENCE_SECS)
    assert str(raised.value)
    assert result.state == "FAILURE"


VALUES = {
    "nothing": None,
    "bool": True,
    "float": 0.1,
    "exact float": 1e308,
    "negative": -(2**63),
    "unsigned": 2**64 - 1,
    "text": 'é ü 漢字 🦀 \u2028 "quoted" \\ \x00 \x7f',
    "empty": "",
    "list": [1, [2, [3, []]]],
    "map": {"a": {"b": {"c": [None, {}]}}, "": "empty key", "ключ": 1},
    "deep": [[[[[[[[[[[[[[[[[[[["deep"]]]]]]]]]]]]]]]]]]]],
    "datetime": dt.datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    "naive datetime": dt.datetime(2026, 1, 2, 3, 4, 5),
    "datetime elsewhere": dt.datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("America/Sao_Paulo")),
    "date": dt.date(2026, 1, 2),
    "time": dt.time(3, 4, 5, 678901),
    "decimal": Decimal("1.50"),
    "uuid": uuid.UUID("12345678123456781234567812345678"),
    "bytes": b"hi",
    "bytes that are no text": b"\xff\xfe\x00",
    "types inside": {"when": [dt.date(2026, 1, 2), {"price": Decimal("0.10")}]},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_a_value_comes_back_as_it_was(duo, value):
    assert duo.run("interop.echo", value) == value


@pytest.mark.parametrize("value", [2**64 + 1, -(2**80) - 1, 10**40 + 1, [{"deep": 3**100}]])
def test_a_huge_integer_comes_back_as_it_was_from_a_task_that_does_not_look_at_it(duo, value):
    """The JSON values of Rust know 64 bits; a task that passes on more takes the text (`RawValue`)."""
    assert duo.run("interop.pass_on", value) == value
    assert duo.run("interop.echo", [value, "other"])[1] == "other"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_does_not_have_are_nothing(duo, value):
    assert duo.run("interop.scale", value, 2.0) is None


def test_a_megabyte_comes_back(duo):
    text = "ü" * 500_000
    assert duo.run("interop.echo", text) == text


@pytest.mark.parametrize(
    ("serializer", "compression"),
    [
        (serializer, compression)
        for serializer in ["json", "msgpack", "yaml"]
        for compression in [None, "zlib", "gzip", "bzip2", "zstd"]
    ],
)
def test_serializers_and_compressions(duo, serializer, compression):
    value = {"text": "é" * 200, "numbers": [1, -1, 2.5], "none": None}
    assert duo.run("interop.echo", value, serializer=serializer, compression=compression) == value


def test_pickle_is_refused_and_the_worker_goes_on(duo):
    result = duo.send("interop.add", 1, 2, serializer="pickle")

    with pytest.raises(ContentDisallowed, match="pickle"):
        result.get(timeout=PATIENCE_SECS)
    assert duo.run("interop.add", 1, 2) == 3


def test_protocol_1(duo):
    old = make_app(duo.url, task_protocol=1)
    assert old.send_task("interop.add", (1,), {"y": 2}, queue="rust").get(timeout=PATIENCE_SECS) == 3


def test_an_id_a_name_to_show_and_headers_arrive(duo):
    result = duo.send(
        "interop.request",
        task_id="chosen é",
        shadow="nickname",
        headers={"tenant": "a", "depth": {"b": [1]}},
        priority=6,
        root_id="the-root",
        parent_id="the-parent",
    )

    request = result.get(timeout=PATIENCE_SECS)
    assert (result.id, request["id"]) == ("chosen é", "chosen é")
    assert request["task"] == "interop.request"
    assert request["shadow"] == "nickname"
    assert request["headers"] == {"tenant": "a", "depth": {"b": [1]}}
    assert request["priority"] == 6
    assert (request["root_id"], request["parent_id"]) == ("the-root", "the-parent")
    assert request["queue"] == "rust"
    assert request["worker"] == "rust@here"
    assert request["origin"].startswith(f"gen{os.getpid()}@")
    assert request["reply_to"] == duo.app.thread_oid


@pytest.mark.parametrize(
    ("task", "ignore_result", "stored"),
    [
        ("interop.echo", None, True),
        ("interop.echo", False, True),
        ("interop.echo", True, False),
        ("interop.quiet", None, False),
        ("interop.quiet", False, True),
        ("interop.quiet", True, False),
    ],
)
def test_ignore_result_of_the_call_goes_before_the_tasks(duo, task, ignore_result, stored):
    options = {} if ignore_result is None else {"ignore_result": ignore_result}
    result = duo.send(task, 1, **options)
    behind_it(duo)

    assert duo.redis.exists(f"celery-task-meta-{result.id}") == stored


def behind_it(place):
    """Returns when all that was sent before to the aipo worker has ended."""
    # One slot is enough for these, and messages start in order: four tasks that wait for each other
    # occupy all slots at the same time.
    gates = [place.gate() for _ in range(4)]
    results = [place.send("interop.hold", gate.path) for gate in gates]
    for gate in gates:
        gate.wait_until_somebody_waits()
    for gate in gates:
        gate.open()
    for result in results:
        result.get(timeout=PATIENCE_SECS)


def soon():
    return dt.datetime.now(UTC) + dt.timedelta(seconds=1)


@pytest.mark.parametrize(
    "options",
    [
        lambda: {"countdown": 1},
        lambda: {"eta": soon()},
        lambda: {"eta": soon().replace(tzinfo=None)},
        lambda: {"eta": soon().astimezone(ZoneInfo("America/Sao_Paulo"))},
        lambda: {"eta": soon().astimezone(ZoneInfo("Asia/Kolkata"))},
    ],
    ids=["countdown", "eta in UTC", "naive eta", "eta in São Paulo", "eta in Kolkata"],
)
def test_a_task_is_not_run_before_its_time(duo, options):
    sent = dt.datetime.now(UTC)
    result = duo.send("interop.add", 1, 2, **options())

    assert result.get(timeout=PATIENCE_SECS) == 3
    # The time itself is to be seen, not how long anything took: it can't have ended before it was due.
    assert result.date_done.replace(tzinfo=UTC) - sent >= dt.timedelta(seconds=0.99)


def test_a_task_in_the_past_is_run_at_once(duo):
    assert duo.run("interop.add", 1, 2, eta=dt.datetime(2020, 1, 1, tzinfo=UTC)) == 3


@pytest.mark.parametrize(
    "expires",
    [
        lambda: dt.datetime.now(UTC) - dt.timedelta(seconds=1),
        lambda: (dt.datetime.now(UTC) - dt.timedelta(seconds=1)).replace(tzinfo=None),
        lambda: (dt.datetime.now(UTC) - dt.timedelta(seconds=1)).astimezone(ZoneInfo("Asia/Kolkata")),
    ],
    ids=["UTC", "naive", "Kolkata"],
)
def test_an_expired_task_is_revoked(duo, expires):
    result = duo.send("interop.add", 1, 2, expires=expires())

    with pytest.raises(TaskRevokedError, match="expired"):
        result.get(timeout=PATIENCE_SECS)
    assert result.state == "REVOKED"


def test_a_task_that_expires_while_it_waits_is_revoked(place):
    result = place.send("interop.add", 1, 2, expires=0.01)
    other = place.send("interop.add", 1, 2, expires=3600)
    place.aipo_worker("rust")

    with pytest.raises(TaskRevokedError, match="expired"):
        result.get(timeout=PATIENCE_SECS)
    assert other.get(timeout=PATIENCE_SECS) == 3


def test_an_unknown_task_fails_and_the_worker_goes_on(duo):
    result = duo.send("interop.nowhere", 1)

    with pytest.raises(NotRegistered, match="interop.nowhere"):
        result.get(timeout=PATIENCE_SECS)
    assert duo.run("interop.add", 1, 2) == 3


@pytest.mark.parametrize(
    "envelope",
    ["no json", "{}", '{"body": "%%%", "headers": {"task": "interop.add", "id": "x"}, "properties": {}}'],
    ids=["no json", "empty", "no base64"],
)
def test_what_is_no_message_does_no_harm(duo, envelope):
    duo.redis.lpush("rust", envelope)
    assert duo.run("interop.add", 1, 2) == 3
