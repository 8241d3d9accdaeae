"""What an idle aipo worker costs the Redis server."""

import threading

WATCHED_SECS = 10
# Renewing the lease, looking for lost workers, and a heartbeat event every two seconds.
COMMANDS_A_SECOND = 5


def test_an_idle_worker_asks_little(place):
    """A count over some seconds, with room to spare: polling would be found, a slow machine would not."""
    place.aipo_worker("rust")
    assert place.run("interop.add", 1, 2) == 3
    before = commands(place)
    threading.Event().wait(WATCHED_SECS)
    after = commands(place)

    used = {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}
    assert sum(used.values()) <= COMMANDS_A_SECOND * WATCHED_SECS, used


def commands(place):
    """How often each command was called so far, by name. The test's own question is left out."""
    stats = place.redis.info("commandstats")
    return {name: stat["calls"] for name, stat in stats.items() if name != "cmdstat_info"}
