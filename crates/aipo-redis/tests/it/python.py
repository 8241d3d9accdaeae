"""The other end of python.rs: one part of Celery at a time, on a broker given by its URL.

Prints what it heard as JSON. Nothing here waits for longer than WAIT seconds.
"""

import json
import socket
import sys

from celery import Celery
from kombu import pidbox

WAIT = 30


def inspect(app):
    return app.control.inspect(timeout=WAIT, limit=1).ping()


def node(app):
    """A node that answers one ping."""
    answered = []

    def ping(state, **kwargs):
        answered.append(kwargs)
        return {'ok': 'pong'}

    mailbox = pidbox.Mailbox('celery', type='fanout', accept=['json'])
    with app.connection() as connection:
        channel = connection.channel()
        with mailbox(connection).Node('py@h', channel=channel, handlers={'ping': ping}).listen():
            while not answered:
                connection.drain_events(timeout=WAIT)
    return len(answered)


def receive(app):
    """Hears three events."""
    heard = []
    with app.connection() as connection:
        receiver = app.events.Receiver(connection, handlers={'*': lambda event: heard.append(event['type'])})
        for _ in receiver.itercapture(timeout=WAIT, wakeup=False):
            if len(heard) == 3:
                break
    return heard


def dispatch(app):
    """Sends one event alone and two together, as a worker does."""
    with app.connection() as connection:
        dispatcher = app.events.Dispatcher(connection, hostname='py@h', buffer_group={'task'}, buffer_limit=2)
        dispatcher.send('worker-heartbeat', freq=2)
        dispatcher.send('task-received', uuid='a')
        dispatcher.send('task-started', uuid='a')
    return 2


if __name__ == '__main__':
    part, url = sys.argv[1:]
    socket.setdefaulttimeout(WAIT)
    print(json.dumps(globals()[part](Celery(broker=url, backend=url))))
