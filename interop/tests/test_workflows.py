"""Workflows: built by either side, run by workers of both kinds, link by link.

A workflow is written here as `app/src/flow.rs` reads it, so that each side can build the same one. Its steps are tasks that
both sides know: a step's value says which one it was, who ran it and what it was given, so the value of the last step
tells the way that the workflow went.
"""

import json
import signal

import pytest
from celery import chain, chord, group
from celery.exceptions import ChordError
from celery.result import result_from_tuple

from harness.lines import Lines
from harness.program import PATIENCE_SECS

# What Celery says when errbacks are linked to a chord.
pytestmark = pytest.mark.filterwarnings("ignore:task_allow_error_cb_on_chord_header")

QUEUES = {"aipo": "rust", "python": "python"}
OTHER = {"aipo": "python", "python": "aipo"}


@pytest.fixture(scope="module")
def duo(new_place):
    """As elsewhere, but what has no queue of its own, as the parts of chunks, goes to the aipo worker as well."""
    place = new_place()
    try:
        place.rust = place.aipo_worker("rust", "celery")
        place.python = place.python_worker("python")
        yield place
    finally:
        place.close()


@pytest.fixture
def lines(tmp_path):
    """Where callbacks and errbacks leave their lines."""
    lines = Lines(tmp_path / "lines")
    yield lines
    lines.close()


def assert_told(duo, lines, expected):
    """Each of these lines was written once, and no other."""
    lines.wait_for(len(expected))
    for queue in QUEUES.values():
        duo.run("shared.mark", lines.path, "end", queue=queue)
    ends = [f"{by} end" for by in QUEUES]
    assert sorted(lines.wait_for(len(expected) + len(ends))) == sorted([*expected, *ends])


# Writing workflows. `by` is who is to run a step.


def step(label, by, *given, task="shared.step"):
    """A step that takes what the one before it gives, or else `given`."""
    return {"task": task, "args": [*given, label], "queue": QUEUES[by], "label": label, "by": by}


def chained(*steps, **links):
    return {"chain": list(steps), **links}


def grouped(*members, **links):
    return {"group": list(members), **links}


def chorded(header, body, **links):
    return {"chord": list(header), "body": body, **links}


def mark(text, by, lines):
    """A callback that leaves a line."""
    return {"task": "shared.mark", "args": [lines.path, text], "queue": QUEUES[by], "immutable": True}


def failed(by, lines):
    """An errback that leaves a line with the id that it was given."""
    return {"task": "shared.failed", "args": [lines.path], "queue": QUEUES[by]}


def value_of(flow, given=None):
    """What a workflow is to give, by the meaning of its parts."""
    if "chain" in flow:
        for part in flow["chain"]:
            given = value_of(part, given)
        return given
    if "group" in flow:
        return [value_of(member, given) for member in flow["group"]]
    if "chord" in flow:
        return value_of(flow["body"], [value_of(member, given) for member in flow["chord"]])
    return {"step": flow["label"], "by": flow["by"], "of": given}


def starts(flow):
    """The same workflow, where steps that nothing comes before are given nothing."""
    if "chain" in flow:
        first, *rest = flow["chain"]
        return {**flow, "chain": [starts(first), *rest]}
    for parts in ("group", "chord"):
        if parts in flow:
            return {**flow, parts: [starts(part) for part in flow[parts]]}
    return {**flow, "args": [None, *flow["args"]]}


# Sending them, from either side.


def python_sends(place, flow):
    return python_builds(place, flow).apply_async()


def python_builds(place, flow):
    def built(parts):
        return [python_builds(place, part) for part in parts]

    if "chain" in flow:
        canvas = chain(*built(flow["chain"]), app=place.app)
    elif "group" in flow:
        canvas = group(built(flow["group"]), app=place.app)
    elif "chord" in flow:
        canvas = chord(built(flow["chord"]), python_builds(place, flow["body"]), app=place.app)
    else:
        canvas = place.app.signature(
            flow["task"], flow["args"], queue=flow["queue"], immutable=flow.get("immutable", False)
        )
    for callback in built(flow.get("link", [])):
        canvas.link(callback)
    for errback in built(flow.get("link_error", [])):
        canvas.link_error(errback)
    return canvas


def aipo_sends(place, *flows):
    def bare(value):
        """Without what only this file reads."""
        if isinstance(value, list):
            return [bare(part) for part in value]
        if isinstance(value, dict):
            return {key: bare(part) for key, part in value.items() if key not in ("label", "by")}
        return value

    lines = "\n".join(json.dumps(bare(flow)) for flow in flows)
    told = place.aipo("flow", stdin=lines).splitlines()
    results = [result_from_tuple(json.loads(line), app=place.app) for line in told]
    return results[0] if len(results) == 1 else results


SENDERS = {"python": python_sends, "aipo": aipo_sends}
# Who runs the steps with an even number and who the others. Where both are the same it is not the sender.
BY = [
    pytest.param("python", ("aipo", "aipo"), id="python-builds-aipo-runs"),
    pytest.param("aipo", ("python", "python"), id="aipo-builds-python-runs"),
    pytest.param("python", ("aipo", "python"), id="python-builds-aipo-first"),
    pytest.param("python", ("python", "aipo"), id="python-builds-python-first"),
    pytest.param("aipo", ("aipo", "python"), id="aipo-builds-aipo-first"),
    pytest.param("aipo", ("python", "aipo"), id="aipo-builds-python-first"),
]


def nested(s):
    inner = chorded([s("a", 0), chained(s("b", 1), s("c", 0))], s("d", 1))
    return chorded([inner, chained(s("e", 0), s("f", 1)), s("g", 0)], chorded([s("h", 1), s("i", 0)], s("j", 1)))


SHAPES = {
    "chain": lambda s: chained(*(s(f"s{n}", n) for n in range(6))),
    "chain-in-chain": lambda s: chained(s("a", 0), chained(s("b", 1), s("c", 0)), chained(s("d", 1))),
    "chord": lambda s: chorded([s(f"h{n}", n) for n in range(6)], s("body", 0)),
    "chord-other-body": lambda s: chorded([s(f"h{n}", n) for n in range(5)], s("body", 1)),
    "group-then-step": lambda s: chained(s("a", 0), grouped(s("b", 1), s("c", 0)), s("d", 1), s("e", 0)),
    "group-then-group": lambda s: chained(grouped(s("a", 0), s("b", 1)), grouped(s("c", 1), s("d", 0)), s("e", 1)),
    "ends-in-group": lambda s: chained(s("a", 1), grouped(s("b", 0), s("c", 1))),
    "chord-then-chord": lambda s: chained(
        chorded([s("a", 0), s("b", 1)], s("c", 1)), chorded([s("d", 0), s("e", 1)], s("f", 0)), s("g", 1)
    ),
    "body-is-group": lambda s: chorded([s("a", 1), s("b", 0)], grouped(s("c", 0), s("d", 1))),
    "body-is-chain": lambda s: chorded([s("a", 1), s("b", 0)], chained(s("c", 1), s("d", 0))),
    "group-of-chains-of-chords": lambda s: grouped(
        *(chained(s(f"a{n}", n), chorded([s(f"b{n}", n + 1), s(f"c{n}", n)], s(f"d{n}", n + 1))) for n in range(3))
    ),
    "nested": lambda s: chained(s("first", 1), nested(s), s("last", 0)),
}


@pytest.mark.parametrize(("sender", "runners"), BY)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_workflow_goes_its_way(duo, shape, sender, runners):
    flow = SHAPES[shape](lambda label, which: step(label, runners[which % 2]))
    result = SENDERS[sender](duo, starts(flow))

    assert result.get(timeout=PATIENCE_SECS) == value_of(flow)


@pytest.mark.parametrize(("sender", "runners"), BY)
def test_each_callback_runs_once(duo, lines, sender, runners):
    one, other = runners

    def by(label, which):
        """A step whose callback runs on the other kind of worker."""
        return {**step(label, runners[which]), "link": [mark(label, OTHER[runners[which]], lines)]}

    flow = chained(
        by("a", 0),
        chorded(
            [by("b", 0), by("c", 1), chained(by("d", 0), by("e", 1), link=[mark("chain", one, lines)])],
            by("f", 1),
            link=[mark("chord", one, lines), mark("chord again", other, lines)],
        ),
        by("g", 0),
        link=[chained(mark("last", one, lines), mark("after", other, lines))],
    )
    result = SENDERS[sender](duo, starts(flow))

    assert result.get(timeout=PATIENCE_SECS) == value_of(flow)
    expected = [f"{OTHER[runners[which]]} {label}" for label, which in zip("abcdefg", (0, 0, 1, 0, 1, 1, 0))]
    expected += [f"{one} chain", f"{one} chord", f"{other} chord again", f"{one} last", f"{other} after"]
    assert_told(duo, lines, expected)


def refusal(label, by):
    return step(label, by, task="shared.refuse")


@pytest.mark.parametrize(("sender", "runners"), BY)
def test_a_chain_that_breaks(duo, lines, sender, runners):
    one, other = runners
    flow = chained(
        step("a", one),
        {**refusal("broken", other), "link_error": [failed(one, lines)]},
        {**step("c", one), "link": [mark("never", one, lines)]},
        chorded([step("d", one), step("e", other)], step("f", one)),
        step("g", other),
        link_error=[failed(other, lines)],
    )
    result = SENDERS[sender](duo, starts(flow))

    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=PATIENCE_SECS)
    broken = chain_of(result)[1]
    assert broken.state == "FAILURE"
    # An errback that is linked twice runs once.
    expected = {f"{one} failed {broken.id}", f"{other} failed {broken.id}"}
    assert_told(duo, lines, expected)


def chain_of(result):
    """A result and those before it, the first one first."""
    results = []
    while result is not None:
        results.insert(0, result)
        result = result.parent
    return results


@pytest.mark.parametrize(("sender", "runners"), BY)
@pytest.mark.parametrize("which", [0, 1])
def test_a_chord_whose_header_breaks(duo, lines, sender, runners, which):
    one, other = runners
    header = [step("a", one), refusal("broken", runners[which]), chained(step("b", other), step("c", one))]
    body = {**step("body", other), "link_error": [failed(other, lines)], "link": [mark("never", one, lines)]}
    result = SENDERS[sender](duo, starts(chained(chorded(header, body), step("after", one))))

    error = result.get(timeout=PATIENCE_SECS, propagate=False)
    assert isinstance(error, ChordError)
    assert str(error).endswith("raised ValueError('broken')")
    assert_told(duo, lines, [f"{other} failed {result.parent.id}"])
    assert [member.state for member in result.parent.parent] == ["SUCCESS", "FAILURE", "SUCCESS"]


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("by", QUEUES)
def test_a_chord_that_breaks_inside_of_another(duo, lines, sender, by):
    """Its parts are aipo's: where a Python worker counts the last one, Celery 5.7 leaves the chord around it waiting."""
    inner = chorded([step("a", "aipo"), refusal("broken", "aipo")], step("b", by))
    flow = chorded([inner, step("c", by)], {**step("body", by), "link_error": [failed(OTHER[by], lines)]})
    result = SENDERS[sender](duo, starts(flow))

    error = result.get(timeout=PATIENCE_SECS, propagate=False)
    assert isinstance(error, ChordError)
    assert "raised ChordError" in str(error) and "broken" in str(error)
    assert_told(duo, lines, [f"{OTHER[by]} failed {result.id}"])


@pytest.mark.parametrize(("sender", "runners"), BY)
def test_a_body_that_breaks_tells_its_errbacks_once(duo, lines, sender, runners):
    one, other = runners
    flow = chorded([step("a", one), step("b", other)], refusal("broken", other), link_error=[failed(one, lines)])
    result = SENDERS[sender](duo, starts(flow))

    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=PATIENCE_SECS)
    assert_told(duo, lines, [f"{one} failed {result.id}"])


@pytest.mark.parametrize(("sender", "runners"), BY)
def test_steps_that_put_others_in_their_place(duo, sender, runners):
    one, other = runners
    queues = [QUEUES[other], QUEUES[one]]
    goes_on = {"task": "shared.go_on", "args": ["x", queues], "queue": QUEUES[one], "label": "x", "by": one}
    flow = chained(step("a", other), chorded([goes_on, step("b", other)], step("c", one)), step("d", other))
    result = SENDERS[sender](duo, starts(flow))

    after = chained(step("x1", other), step("x2", one))
    expected = chained(step("a", other), chorded([after, step("b", other)], step("c", one)), step("d", other))
    assert result.get(timeout=PATIENCE_SECS) == value_of(expected)


@pytest.mark.parametrize(("sender", "runners"), BY)
def test_steps_that_add_to_their_chord(duo, sender, runners):
    one, other = runners
    more = {"task": "shared.more", "args": ["x", QUEUES[other]], "queue": QUEUES[one], "label": "x", "by": one}
    flow = chorded([more, step("b", other)], step("body", one))
    result = SENDERS[sender](duo, starts(flow))

    told = result.get(timeout=PATIENCE_SECS)
    expected = [("b", other), ("x", one), ("x+", other)]
    assert sorted((part["step"], part["by"]) for part in told["of"]) == expected


def test_a_frozen_chord_can_be_sent_again(duo):
    """Its group keeps its id, so the first parts of the next time come while the last time is still known."""
    by = "aipo"
    canvas = python_builds(duo, starts(chorded([step(f"h{n}", by) for n in range(8)], step("body", by))))
    canvas.freeze()

    expected = value_of(chorded([step(f"h{n}", by) for n in range(8)], step("body", by)))
    for _ in range(5):
        result = canvas.apply_async()
        assert result.get(timeout=PATIENCE_SECS) == expected
        result.forget()


def test_chunks_in_a_workflow(duo):
    """They are one task there, whose value is the results that the parts will have."""
    # What Celery's `task.chunks` makes.
    adds = {"task": duo.app.signature("interop.add"), "it": [(n, 1) for n in range(5)], "n": 2}
    chunks = duo.app.signature("celery.chunks", kwargs=adds, immutable=True, queue="rust")
    before, after = python_builds(duo, starts(step("a", "python"))), python_builds(duo, step("b", "python"))
    result = chain(before, chunks, after, app=duo.app).apply_async()

    told = result.get(timeout=PATIENCE_SECS)["of"]
    assert result.parent.get(timeout=PATIENCE_SECS) == told
    parts = result_from_tuple(told, app=duo.app)
    assert parts.get(timeout=PATIENCE_SECS) == [[1, 2], [3, 4], [5]]


CHORDS = 200


def test_a_worker_that_dies_in_the_midst(place):
    """An aipo worker is killed among chords of which both kinds of workers run parts. All are completed."""
    flows = []
    for number in range(CHORDS):
        header = [step(f"{number}-{n}", ["aipo", "python"][n % 2]) for n in range(4)]
        body = step(f"{number}", ["python", "aipo"][number % 2])
        flows.append(chained(chorded(header, body), step("end", ["aipo", "python"][number % 2])))
    half = CHORDS // 2
    results = aipo_sends(place, *map(starts, flows[:half]))
    results += [python_sends(place, starts(flow)) for flow in flows[half:]]
    place.python_worker("python")
    victims = [place.aipo_worker("rust", name=f"rust{n}@here", worker_lease="2s") for n in range(2)]

    results[20].get(timeout=PATIENCE_SECS)
    victims[0].ask_to_stop(signal.SIGKILL)
    results[60].get(timeout=PATIENCE_SECS)
    victims[1].ask_to_stop(signal.SIGKILL)
    place.aipo_worker("rust", name="rust2@here", worker_lease="2s")

    assert [result.get(timeout=PATIENCE_SECS) for result in results] == [value_of(flow) for flow in flows]
