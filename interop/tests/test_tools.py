"""Celery's commands against an aipo worker beside a Python worker, and aipo's against both."""

import json

import pytest

from harness.place import CELERY
from harness.program import PATIENCE_SECS

NODES = {"rust@here", "python@here"}
# Where the nodes are named, Celery's commands do not wait for more once all have answered.
BOTH = ["-t", "30", "-d", "rust@here,python@here"]


def inspect(place, *words):
    """The answers of `celery inspect`, by node."""
    return json.loads(place.celery("inspect", *BOTH, "-j", *words))


def control(place, *words):
    """The answers to `celery control`, by node."""
    replies = json.loads(place.celery("control", *BOTH, "-j", *words))
    return {node: answer for reply in replies for node, answer in reply.items()}


def control_aipo(place, *words):
    """The answer of the aipo worker alone."""
    [reply] = json.loads(place.celery("control", "-t", 30, "-d", "rust@here", "-j", *words))
    return reply["rust@here"]


def shape(value):
    """What a value is made of: names and types, of lists the first entry."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


@pytest.fixture
def busy(duo):
    """Each worker runs one task, and one with an ETA waits for each."""
    gates = {"rust": duo.gate(), "python": duo.gate()}
    running = {}
    scheduled = {}
    for prefix, queue in [("interop", "rust"), ("py", "python")]:
        running[queue] = duo.send(f"{prefix}.hold", gates[queue].path, queue=queue)
        gates[queue].wait_until_somebody_waits()
        scheduled[queue] = duo.send(f"{prefix}.add", 1, 2, queue=queue, countdown=3600, priority=3)
    duo.python.wait_for_line(f"{scheduled['python'].id}] received")
    yield running, scheduled
    for queue in gates:
        duo.app.control.revoke(scheduled[queue].id, destination=list(NODES), reply=True, timeout=30)
        gates[queue].open()
        running[queue].get(timeout=PATIENCE_SECS)


def test_ping(duo):
    assert inspect(duo, "ping") == {node: {"ok": "pong"} for node in NODES}


def test_status(duo):
    words = duo.celery("status", *BOTH)
    assert "2 nodes online." in words
    assert all(f"{node}: OK" in words for node in NODES)


def test_ping_of_one_node_and_of_none(duo):
    one = json.loads(duo.celery("inspect", "-t", 30, "-d", "rust@here", "-j", "ping"))
    assert one == {"rust@here": {"ok": "pong"}}
    duo.celery("inspect", "-t", 1, "-d", "nobody@here", "ping", status=69)


def test_stats(duo):
    stats = inspect(duo, "stats")
    rust, python = shape(stats["rust@here"]), shape(stats["python@here"])

    # What a pool tells of itself is its own, and counts have the names of tasks; that they are there is not.
    pools = rust.pop("pool"), python.pop("pool")
    assert isinstance(rust.pop("total"), dict) and isinstance(python.pop("total"), dict)
    brokers = rust.pop("broker"), python.pop("broker")
    assert brokers[0].items() <= brokers[1].items()
    assert {name: rust[name] for name in python} == python
    assert {"implementation", "max-concurrency", "processes"} <= pools[0].keys() & pools[1].keys()
    told = stats["rust@here"]
    assert told["pid"] == duo.rust.pid
    assert told["pool"]["max-concurrency"] == 4
    assert told["pool"]["processes"] == [duo.rust.pid]
    assert told["broker"]["port"] == duo.port
    assert told["broker"]["virtual_host"] == str(duo.db)
    assert told["broker"]["transport"] == "redis"


def test_totals_are_counted_by_name(duo):
    before = inspect(duo, "stats")["rust@here"]["total"].get("interop.add", 0)
    duo.run("interop.add", 1, 2)
    assert inspect(duo, "stats")["rust@here"]["total"]["interop.add"] == before + 1


def test_active(duo, busy):
    running, _ = busy
    active = inspect(duo, "active")

    [rust], [python] = active["rust@here"], active["python@here"]
    assert shape(rust) == shape(python)
    assert (rust["id"], rust["name"], rust["type"]) == (running["rust"].id, "interop.hold", "interop.hold")
    assert rust["hostname"] == "rust@here"
    assert rust["worker_pid"] == duo.rust.pid
    assert rust["delivery_info"]["routing_key"] == "rust"


def test_scheduled(duo, busy):
    _, scheduled = busy
    told = inspect(duo, "scheduled")

    [rust], [python] = (
        # What was revoked before its time may still be listed.
        [entry for entry in told[f"{queue}@here"] if entry["request"]["id"] == scheduled[queue].id]
        for queue in ["rust", "python"]
    )
    assert shape(rust) == shape(python)
    assert rust["request"]["delivery_info"]["priority"] == 3


def test_reserved(duo):
    """Both hold more than they can run, as far as they take more than that at all."""
    reserved = inspect(duo, "reserved")
    assert reserved.keys() == NODES
    assert all(isinstance(tasks, list) for tasks in reserved.values())


def test_query_task(duo, busy):
    running, _ = busy
    ids = [running["rust"].id, running["python"].id, "nobody"]
    told = inspect(duo, "query_task", *ids)

    for queue in ["rust", "python"]:
        [(task_id, [state, info])] = told[f"{queue}@here"].items()
        assert (task_id, state) == (running[queue].id, "active")
        assert info["id"] == task_id


def test_registered(duo):
    registered = inspect(duo, "registered")

    assert "interop.add" in registered["rust@here"]
    assert "py.add" in registered["python@here"]
    assert registered["rust@here"] == sorted(registered["rust@here"])
    assert not any(name.startswith("celery.") for name in registered["rust@here"])


def test_active_queues(duo):
    told = inspect(duo, "active_queues")

    [rust], [python] = told["rust@here"], told["python@here"]
    assert (rust["name"], rust["routing_key"]) == ("rust", "rust")
    assert shape(rust) == shape(python)


def test_revoked(duo):
    duo.app.control.revoke("never-to-be-sent", destination=list(NODES), reply=True, timeout=30)

    for node, ids in inspect(duo, "revoked").items():
        assert "never-to-be-sent" in ids, node


def test_conf(duo):
    conf = inspect(duo, "conf")

    assert conf.keys() == NODES
    assert all(isinstance(settings, dict) for settings in conf.values())


def test_conf_hides_passwords(new_place):
    place = new_place()
    try:
        place.redis.acl_setuser("user", enabled=True, passwords=["+hidden"], categories=["+@all"], keys=["*"], channels=["*"])
        url = place.url.replace("redis://", "redis://user:hidden@")
        place.aipo_worker("rust", broker_url=url)
        one = ["inspect", "-t", 30, "-d", "rust@here", "-j"]
        told = place.celery(*one, "conf") + place.celery(*one, "stats") + place.celery(*one, "report")
        assert "hidden" not in told
    finally:
        place.redis.acl_deluser("user")
        place.close()


def test_report(duo):
    for node, answer in inspect(duo, "report").items():
        assert "software" in answer["ok"], node


def test_clock(duo):
    for node, answer in inspect(duo, "clock").items():
        assert isinstance(answer["clock"], int), node


@pytest.mark.parametrize("command", ["memsample", "memdump", "objgraph"])
def test_what_looks_into_pythons_memory_answers_all_the_same(duo, command):
    words = [command] if command != "objgraph" else ["objgraph", "Request", "1", "1"]
    told = json.loads(duo.celery("inspect", "-t", 30, "-j", "-d", "rust@here", *words))
    assert "rust@here" in told


def test_an_unknown_command_is_an_error_on_both(duo):
    replies = duo.app.control.broadcast("nosuchcommand", destination=list(NODES), reply=True, timeout=30)
    told = {node: answer for reply in replies for node, answer in reply.items()}
    assert told == {node: {"error": "KeyError('nosuchcommand')"} for node in NODES}


def test_patterns_choose_nodes(duo):
    glob = duo.app.control.inspect(pattern="rust*", matcher="glob", timeout=3).ping()
    assert glob.keys() == {"rust@here"}
    regex = duo.app.control.inspect(pattern="^(rust|python)@", matcher="pcre", timeout=3).ping()
    assert regex.keys() == NODES


COMMANDS = [
    ["rate_limit", "shared.who", "10/m"],
    ["time_limit", "shared.who", "60", "50"],
    ["time_limit", "shared.who", "60"],
    ["add_consumer", "extra"],
    ["cancel_consumer", "extra"],
    ["pool_grow", "2"],
    ["pool_shrink", "2"],
    ["enable_events"],
    ["enable_events"],
    ["disable_events"],
    ["disable_events"],
]


def test_control_commands_answer_as_pythons(duo):
    for words in COMMANDS:
        answers = control(duo, *words)
        assert answers["rust@here"] == answers["python@here"], words
        assert answers["rust@here"].keys() == {"ok"}


ERRORS = [
    ["rate_limit", "nowhere", "10/m"],
    ["rate_limit", "shared.who", "often"],
    ["time_limit", "nowhere", "60"],
    ["autoscale", "5", "2"],
    ["pool_restart"],
]


def test_control_errors_are_pythons(duo):
    for words in ERRORS:
        answers = control(duo, *words)
        # Its words are for people; that it is an error is what clients look at.
        assert {node: answer.keys() for node, answer in answers.items()} == {node: {"error"} for node in NODES}


def test_a_queue_that_is_added_is_worked_on(duo):
    control_aipo(duo, "add_consumer", "another")
    assert duo.run("interop.add", 1, 2, queue="another") == 3
    told = inspect(duo, "active_queues")["rust@here"]
    assert {queue["name"] for queue in told} == {"rust", "another"}

    control_aipo(duo, "cancel_consumer", "another")
    told = inspect(duo, "active_queues")["rust@here"]
    assert {queue["name"] for queue in told} == {"rust"}


def test_the_pool_grows_and_shrinks(duo):
    def slots():
        return inspect(duo, "stats")["rust@here"]["pool"]["max-concurrency"]

    control_aipo(duo, "pool_grow", "3")
    assert slots() == 7
    control_aipo(duo, "pool_shrink", "3")
    assert slots() == 4


def test_a_time_limit_given_while_running_holds(duo):
    from celery.exceptions import TimeLimitExceeded

    told = duo.app.control.time_limit("interop.endless", hard=1, destination=["rust@here"], reply=True, timeout=30)
    assert told == [{"rust@here": {"ok": "time limits set successfully"}}]
    gate = duo.gate()
    result = duo.send("interop.endless", gate.path)
    assert gate.read() == "running"
    with pytest.raises(TimeLimitExceeded):
        result.get(timeout=PATIENCE_SECS)


def test_shutdown_ends_the_worker(place):
    worker = place.aipo_worker("rust")
    place.app.control.shutdown(destination=["rust@here"])
    assert worker.wait() == 0


def send_what_ends_in_every_way(place):
    for prefix, queue in [("interop", "rust"), ("py", "python")]:
        for name, args in [("add", (1, 2)), ("fail", ("boom",)), ("retry_twice", ())]:
            place.send(f"{prefix}.{name}", *args, queue=queue)


def test_events_have_the_same_fields_from_both(duo):
    """`celery events --dump` prints what both tell of the same tasks."""
    duo.app.control.enable_events(destination=list(NODES), reply=True, timeout=30)
    wanted = {"task-received", "task-started", "task-succeeded", "task-failed", "task-retried"}
    heard = {"rust@here": {}, "python@here": {}}

    def listen(event):
        if event["type"] in wanted and event["hostname"] in heard:
            heard[event["hostname"]].setdefault(event["type"], event)

    sent = False
    with duo.app.connection_for_read() as connection:
        receiver = duo.app.events.Receiver(connection, handlers={"*": listen})
        for _ in receiver.itercapture(timeout=PATIENCE_SECS, wakeup=False):
            # The first heartbeat says that it listens.
            if not sent:
                send_what_ends_in_every_way(duo)
                sent = True
            if all(wanted <= kinds.keys() for kinds in heard.values()):
                break
    duo.app.control.disable_events(destination=list(NODES), reply=True, timeout=30)

    for kind in sorted(wanted):
        rust, python = shape(heard["rust@here"][kind]), shape(heard["python@here"][kind])
        # Without it a monitor in another time zone does not shift the time; see docs/celery.md.
        del python["utcoffset"]
        if kind in ("task-failed", "task-retried"):
            # An error of Rust has no traceback unless there is something behind it.
            assert {rust.pop("traceback"), python.pop("traceback")} <= {"str", "NoneType"}
        assert rust == python, kind


def test_events_dump_shows_heartbeats_of_both(duo):
    dump = duo.python_program([CELERY, "-A", "pyapp", "events", "--dump"])
    for node in NODES:
        assert "heartbeat" in dump.wait_for_line(f"{node} [")
    dump.stop()


def test_python_workers_meet_aipo_when_they_start(place):
    """Mingle: a Python worker asks its neighbours for what is revoked, and aipo answers."""
    place.aipo_worker("rust")
    place.app.control.revoke("early", destination=["rust@here"], reply=True, timeout=30)
    python = place.python_worker("python")
    python.wait_for_line("mingle: sync with 1 nodes")
    python.wait_for_line("mingle: sync complete")

    result = place.send("py.add", 1, 2, queue="python", task_id="early")
    assert place.aipo_result(result.id, status=3)["status"] == "REVOKED"


def test_pythons_log_has_nothing_to_complain_of(duo):
    """The last test of this file: all that came before went through the Python worker's control as well."""
    complaints = [
        line for line in duo.python.output.splitlines() if ": ERROR/" in line or ": CRITICAL/" in line
    ]
    # What tests ask for on purpose.
    expected = ["py.fail", "ate limit", "nosuchcommand", "not enabled", "unknown task nowhere"]
    assert [line for line in complaints if not any(word in line for word in expected)] == []


# aipo's own commands, which speak the same language.


def test_aipo_asks_both_kinds(duo):
    told = json.loads(duo.aipo("inspect", "ping", *BOTH, "--json"))
    assert told == {node: {"ok": "pong"} for node in NODES}


@pytest.mark.parametrize("command", ["stats", "active", "scheduled", "registered", "active_queues", "conf", "clock"])
def test_aipo_inspect_gets_what_celery_inspect_gets(duo, command):
    ours = json.loads(duo.aipo("inspect", command, *BOTH, "--json"))
    theirs = inspect(duo, command)
    assert {node: shape(answer) for node, answer in ours.items()} == {
        node: shape(answer) for node, answer in theirs.items()
    }


def test_aipo_status(duo):
    words = duo.aipo("status", *BOTH)
    assert all(node in words for node in NODES)


def test_aipo_control_reaches_python(duo):
    told = duo.aipo("control", "-t", 30, "-d", "python@here", "--json", "pool_grow", "1")
    assert "pool will grow" in told
    duo.aipo("control", "-t", 30, "-d", "python@here", "pool_shrink", "1")


def test_aipo_events_hears_python(duo):
    events = duo.aipo_program("events", "--json")
    for node in NODES:
        events.wait_for_line(node)
    events.stop()
