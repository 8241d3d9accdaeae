"""What becomes of tasks when workers are killed and Redis goes away: `python -m faults`.

Tasks are sent from plain Celery. Then a fleet of workers runs them, while one worker after the other is killed and
replaced, and Redis is restarted and stopped. Each task records its runs in a file, so that what Redis says can be
compared with what happened.

| file | role |
|---|---|
| `__main__` | the command line, the table |
| `trial` | one fleet, one server, all faults |
| `fleet` | the kinds of workers |
| `server` | a Redis server that can be restarted and stopped |
| `runs` | what the tasks recorded |
| `verdict` | the figures, and which of them must be zero |
"""
