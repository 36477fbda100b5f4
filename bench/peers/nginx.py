"""nginx, forwarding only and with `auth_request`.

As its makers advise for a proxy: HTTP/1.1 and kept connections towards the upstream, an empty `Connection`,
a buffered access log, one worker for one core. Bodies stream both ways, as the gateway's do.
"""

import os
from typing import Final

from bench.peer import Bed, Checks, Command, Peer, Stand
from bench.tools import Toolbox

FRAME: Final = """\
daemon off;
{user}
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; multi_accept on; }}
http {{
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    server_tokens off;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {directory}/client;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{http}
}}
"""

PROXY: Final = """\
    log_format json escape=json '{{"ts":"$msec","request_id":"$request_id","client":"$remote_addr",'
        '"method":"$request_method","path":"$uri","status":$status,"bytes_in":$request_length,'
        '"bytes_out":$body_bytes_sent,"s":$request_time,"upstream_s":"$upstream_response_time"}}';
    access_log {log} json buffer=64k flush=1s;
    upstream feed {{
        server 127.0.0.1:{upstream};
        keepalive 128;
        keepalive_requests 1000000000;
    }}
    {decision}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Request-Id $request_id;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    server {{
        listen 127.0.0.1:{port}{tls} backlog=4096;
        {certificate}
        location / {{
            {ask}
            proxy_pass http://feed;
        }}
        {asking}
    }}"""

CERTIFICATE: Final = """ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:clients:1m;"""

DECISION: Final = """upstream decision {{
        server 127.0.0.1:{port};
        keepalive 128;
        keepalive_requests 1000000000;
    }}"""

ASKING: Final = """location = /_decision {
            internal;
            proxy_pass http://decision;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Connection "";
            proxy_set_header X-Original-URI $request_uri;
            proxy_set_header X-Original-Method $request_method;
        }"""


def frame(bed: Bed, http: str) -> str:
    """A whole nginx.conf around an `http` block's content; one worker, temporary files in the directory."""
    user = "user root;" if os.geteuid() == 0 else ""
    return FRAME.format(user=user, directory=bed.directory, files=max(4096, 2 * bed.connections), http=http)


def command(bed: Bed, name: str, text: str) -> Command:
    """The command that runs nginx on this configuration."""
    return Command.of(
        bed.tools["nginx"],
        "-e",
        bed.directory / "error.log",
        "-p",
        bed.directory,
        "-c",
        bed.write(name, text),
    )


def _proxy(bed: Bed, *, asks: bool) -> Stand:
    certificate = ""
    if bed.certificate:
        certificate = CERTIFICATE.format(certificate=bed.certificate[0], key=bed.certificate[1])
    http = PROXY.format(
        tls=" ssl" if bed.certificate else "",
        certificate=certificate,
        log=bed.access_log,
        upstream=bed.upstream_port,
        port=bed.port,
        decision=DECISION.format(port=bed.decision_port) if asks else "",
        ask="auth_request /_decision;" if asks else "",
        asking=ASKING if asks else "",
    )
    return Stand((command(bed, "nginx.conf", frame(bed, http)),), bed, asks_decision=asks)


def _forwarding(bed: Bed) -> Stand:
    return _proxy(bed, asks=False)


def _asking(bed: Bed) -> Stand:
    return _proxy(bed, asks=True)


def _version(tools: Toolbox) -> str:
    return f"nginx {tools.version('nginx', '-v')}"


FORWARDING: Final = Peer(
    "nginx",
    "nginx, forwarding only",
    Checks.NOTHING,
    "a JSON line a request to a file",
    ("nginx",),
    _forwarding,
    _version,
)
AUTH_REQUEST: Final = Peer(
    "nginx-auth-request",
    "nginx `auth_request` + decision server",
    Checks.DECISION,
    "a JSON line a request to a file",
    ("nginx",),
    _asking,
    _version,
)
