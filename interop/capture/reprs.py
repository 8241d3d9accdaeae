"""Rows for a port of `celery.utils.saferepr`: a value, and how Celery prints it.

Printed by `AMQP.as_task_v2` itself, so limit and depth are those of real messages. A row is
`[value, argsrepr of (value,), kwargsrepr of {"k": value}]`.

Values stay within what every JSON reader keeps: integers fit 64 bits, there is no NaN, and map keys
are in sorted order, so that a reader with sorted maps prints the same.
"""

import random

import tasks

# fmt: off
WORDS = ["lorem", "ipsum", "it's", "\u00e1\u00e7\u00e3o", "\u65e5\u672c", "\U0001f96c", "a\nb", 'say "hi"', "\\"]

SCALARS = [
    None, True, False,
    0, 1, -1, 42, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1,
    0.0, -0.0, 1.0, -1.5, 0.1, 1 / 3, 100.0, 123456789.123,
    1e15, 9999999999999998.0, 1e16, 1.5e16, 1e17, 1e22, 1e100, 1.7976931348623157e308,
    0.001, 0.0001, 0.00012, 0.00001, 1e-07, 1.5e-10, 2.2250738585072014e-308, 5e-324, -1e-07, -1e16,
]

TEXTS = [
    "", " ", "a", "hello world", "it's", "''", 'say "hi"', "both ' and \"", "back\\slash", "\\'", "line\nbreak",
    "tab\tand\rreturn", "nul\0", "\x1b[0m", "\x7f", "ol\u00e1", "e\u0301", "\u65e5\u672c\u8a9e", "\U0001f96c",
    "\u200b\u2028", "\u00a0", "{}", "...", "None", "%s", "u'x'",
]

CONTAINERS = [
    [], {}, [[]], [{}], {"a": []}, {"a": {}}, [None], [1], [1, 2], [1, "a", None, 2.5, False], {"a": 1},
    {"a": 1, "b": "x"}, {"": 0}, {"it's": "it's"}, {"a b": [1, {"c": None}]}, {"ol\u00e1": "\U0001f96c"},
    {"line\nbreak": 1}, [["a", "b"], ["c"]], [[], [], {}], {"a": [], "b": {}, "c": [[]]},
]

# Three levels are printed; the tuple or map of the arguments is the first of them.
NESTED = [
    [[1]], [[[1]]], [[[[1]]]], [[[[]]]], [[[]]], [[{}]], [[{"a": 1}]], [[[{"a": 1}]]], {"a": {"b": 1}},
    {"a": {"b": {"c": 1}}}, {"a": {"b": {"c": {"d": 1}}}}, {"a": {"b": {}}}, {"a": {"b": []}},
    [1, [2, [3, [4, [5]]]], 6], [[[1], 2], 3], {"a": [{"b": [{"c": 1}]}], "z": 0}, [[[1]], [[2]], [[3]]],
    [{"a": [1, 2]}, {"a": [3, 4]}],
]

# 1024 characters is the limit. It is spent as tokens are printed, and texts are cut at a space.
LONG = [
    "x" * 1000, *("x" * n for n in range(1015, 1028)), "x" * 2000, "word " * 300, "a " + "x" * 2000,
    "x" * 1023 + " y", "x" * 1024 + " y", " " * 1100, "'" * 1100, "it's " * 300, "\u00e1" * 1100,
    "\U0001f96c" * 1100, "\n" * 1100, ("x" * 99 + " ") * 11,
    list(range(1000)), [1.5] * 400, [None] * 400, ["x" * 100] * 20, ["x" * 500, "y" * 500, "z" * 500],
    ["x" * 1020, 1, 2, 3], ["x" * 1021], ["x" * 1024], ["x" * 2000, "y"], ["a", "x" * 2000, "b"],
    {"k" * 1100: 1}, {"a": "x" * 2000}, {"a": "x" * 2000, "b": 1}, {"a": list(range(500)), "b": {"c": 1}},
    {f"key{n:03}": n for n in range(200)}, [[n, [n]] for n in range(200)], [{"id": n} for n in range(200)],
    ["x" * 1010, [1, [2, [3]]], {"a": 1}], ["x" * 1010, [], {}], [["x" * 1010, [1, 2]], [3, 4]],
    [["x" * 2000]], [[["x" * 2000]]], {"a": {"b": "x" * 2000}}, {"a": ["x" * 1015, {"b": [1]}], "z": [1]},
    [2**63] * 100, ["word " * 100] * 5,
]
# fmt: on

GENERATED_ROWS = 120
SEED = 57


def rows():
    """All rows of the table."""
    generator = random.Random(SEED)
    generated = [value(generator, depth=0) for _ in range(GENERATED_ROWS)]
    return [row(v) for v in SCALARS + TEXTS + CONTAINERS + NESTED + LONG + generated]


def row(v):
    headers = tasks.app.amqp.as_task_v2("id", "name", args=(v,), kwargs={"k": v}).headers
    return [v, headers["argsrepr"], headers["kwargsrepr"]]


def value(generator, depth):
    """A random value, small or just long enough to be cut."""
    kind = generator.choice("ntfslm" if depth < 4 else "ntfs")
    if kind == "n":
        return generator.choice([None, True, False])
    if kind == "f":
        return round(generator.uniform(-1000, 1000), generator.randrange(5))
    if kind == "s":
        return " ".join(generator.choices(WORDS, k=generator.choice([1, 2, 3, 60])))
    if kind == "l":
        return [value(generator, depth + 1) for _ in range(generator.choice([0, 1, 2, 5, 12]))]
    if kind == "m":
        keys = sorted(set(generator.choices(WORDS + list("abcdef"), k=generator.choice([0, 1, 3, 8]))))
        return {key: value(generator, depth + 1) for key in keys}
    return generator.randrange(-(10**6), 10**6)
