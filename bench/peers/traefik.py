"""Traefik with `forwardAuth` asking the decision server: file provider, buffered JSON access log."""

from typing import Final

from bench.peer import KEY_HEADER, Bed, Checks, Command, Peer, Stand
from bench.tools import Toolbox

STATIC: Final = """\
entryPoints:
  integrations:
    address: 127.0.0.1:{port}
    http2:
      maxConcurrentStreams: 250
providers:
  file:
    filename: {directory}/dynamic.yaml
    watch: false
serversTransport:
  maxIdleConnsPerHost: 128
log:
  level: ERROR
  filePath: {directory}/traefik.log
accessLog:
  filePath: {log}
  format: json
  bufferingSize: 256
  fields:
    defaultMode: drop
    names:
{fields}
global:
  checkNewVersion: false
  sendAnonymousUsage: false
"""

FIELDS: Final = (
    "StartUTC",
    "ClientHost",
    "RequestMethod",
    "RequestPath",
    "RouterName",
    "DownstreamStatus",
    "RequestContentSize",
    "DownstreamContentSize",
    "Duration",
    "OriginDuration",
)
"""What a line of its log holds: what those of the others do. By default it would hold thrice as much."""

DYNAMIC: Final = """\
http:
  routers:
    feed:
      entryPoints: [integrations]
      rule: PathPrefix(`/`)
      middlewares: [decision]
      service: feed
  middlewares:
    decision:
      forwardAuth:
        address: http://127.0.0.1:{decision}/
        authRequestHeaders: [{key_header}]
  services:
    feed:
      loadBalancer:
        servers:
          - url: http://127.0.0.1:{upstream}
"""


def _lay_out(bed: Bed) -> Stand:
    fields = "\n".join(f"      {name}: keep" for name in FIELDS)
    static = STATIC.format(port=bed.port, directory=bed.directory, log=bed.access_log, fields=fields)
    dynamic = DYNAMIC.format(decision=bed.decision_port, upstream=bed.upstream_port, key_header=KEY_HEADER)
    bed.write("dynamic.yaml", dynamic)
    file = bed.write("traefik.yaml", static)
    return Stand((Command.of(bed.tools["traefik"], f"--configFile={file}"),), bed, asks_decision=True)


def _version(tools: Toolbox) -> str:
    return f"Traefik {tools.version('traefik', 'version')}"


PEER: Final = Peer(
    "traefik",
    "Traefik `forwardAuth` + decision server",
    Checks.DECISION,
    "a JSON line a request to a file",
    ("traefik",),
    _lay_out,
    _version,
)
