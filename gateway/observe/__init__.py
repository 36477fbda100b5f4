"""Who watches from the side: metrics, logs and health. Nobody in the path imports this room.

    exchange record ─▶ metrics ─▶ snapshot (a worker's) ─▶ merge (the parent's) ─▶ exposition
                   └─▶ logs ─▶ lines, in batches ─▶ one writer thread a file
    health reports ─▶ health ─▶ admin: /metrics, /livez, /readyz

A worker counts and writes log lines; the parent process adds the workers' counts up and answers the probes.
Nothing here blocks, raises into, or is awaited by the path of a request.
"""
