"""Caddy with `forward_auth` asking the decision server: kept connections both ways, JSON access log."""

from typing import Final

from bench.peer import Bed, Checks, Command, Peer, Stand
from bench.tools import Toolbox

CADDYFILE: Final = """\
{{
    admin off
    auto_https off
    persist_config off
    log default {{
        output file {directory}/caddy.log
        level ERROR
        exclude http.log.access
    }}
    servers {{
        timeouts {{
            read_header 10s
            idle 75s
        }}
    }}
}}
http://:{port} {{
    bind 127.0.0.1
    log {{
        output file {log} {{
            roll_disabled
        }}
        format filter {{
            wrap json
            fields {{
                request>headers delete
                request>tls delete
                resp_headers delete
            }}
        }}
    }}
    forward_auth 127.0.0.1:{decision} {{
        uri /
        transport http {{
            keepalive_idle_conns 256
            keepalive_idle_conns_per_host 128
        }}
    }}
    reverse_proxy 127.0.0.1:{upstream} {{
        transport http {{
            keepalive_idle_conns 256
            keepalive_idle_conns_per_host 128
        }}
    }}
}}
"""


def _lay_out(bed: Bed) -> Stand:
    text = CADDYFILE.format(
        directory=bed.directory,
        port=bed.port,
        log=bed.access_log,
        decision=bed.decision_port,
        upstream=bed.upstream_port,
    )
    file = bed.write("Caddyfile", text)
    argv = (bed.tools["caddy"], "run", "--adapter", "caddyfile", "--config", file)
    home = str(bed.directory)
    return Stand((Command.of(*argv, HOME=home, XDG_DATA_HOME=home),), bed, asks_decision=True)


def _version(tools: Toolbox) -> str:
    return f"Caddy {tools.version('caddy', 'version')}"


PEER: Final = Peer(
    "caddy",
    "Caddy `forward_auth` + decision server",
    Checks.DECISION,
    "a JSON line a request to a file",
    ("caddy",),
    _lay_out,
    _version,
)
