"""The commands. Importing this package makes the standard library cooperative, which must come
before anything else is imported."""

import contextlib

import eventlet

eventlet.monkey_patch()

with contextlib.suppress(ImportError):  # installed with the [postgresql] extra
    from psycogreen import eventlet as psycogreen

    # libpq waits in C; without this one waiting transaction would stop every green thread
    psycogreen.patch_psycopg()
