"""The parent process of `gateway serve`: owns the sockets, keeps N workers running, answers the admin port.

    plan ─▶ sockets ─▶ crew ─▶ worker_process, N times (each: link, listening socket, data plane)
                        │
    signals, watch ─▶ supervising ─▶ reload, drain; admin: metrics and health of the whole crew

The parent is never in the path of a feed request, so a heavy admin page delays none.
"""
