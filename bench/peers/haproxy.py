"""HAProxy, forwarding only: one thread, kept connections shared towards the upstream, a JSON log line."""

from typing import Final

from bench.peer import Bed, Checks, Command, Peer, Stand
from bench.tools import Toolbox

CONFIGURATION: Final = """\
global
    nbthread 1
    maxconn 4096
    log stdout format raw local0
defaults
    mode http
    log global
    option http-keep-alive
    option dontlognull
    http-reuse always
    timeout connect 2s
    timeout client 75s
    timeout server 60s
    timeout http-request 10s
    timeout http-keep-alive 75s
    unique-id-format %{+X}o%ci:%cp_%fi:%fp_%Ts_%rt
    unique-id-header X-Request-Id
    log-format '{"ts":"%Ts","request_id":"%ID","client":"%ci","method":"%HM","path":"%HPO","status":%ST,\
"bytes_in":%U,"bytes_out":%B,"ms":%Ta,"upstream_ms":%Tr}'
frontend integrations
    bind 127.0.0.1:@PORT@
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    default_backend feed
backend feed
    server feed 127.0.0.1:@UPSTREAM@ maxconn 1024 pool-purge-delay 60s
"""


def _lay_out(bed: Bed) -> Stand:
    text = CONFIGURATION.replace("@PORT@", str(bed.port)).replace("@UPSTREAM@", str(bed.upstream_port))
    file = bed.write("haproxy.cfg", text)
    return Stand((Command.of(bed.tools["haproxy"], "-db", "-f", file, output=bed.access_log),), bed)


def _version(tools: Toolbox) -> str:
    return f"HAProxy {tools.version('haproxy', '-v')}"


PEER: Final = Peer(
    "haproxy",
    "HAProxy, forwarding only",
    Checks.NOTHING,
    "a JSON line a request to a file",
    ("haproxy",),
    _lay_out,
    _version,
)
