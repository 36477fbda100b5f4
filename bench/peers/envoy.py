"""Envoy with its own key check and RBAC, and with `ext_authz` asking the decision server.

One worker thread, one listener, one cluster, buffered JSON access log. Stats as they are by default, but for
the router's dynamic ones, which Envoy's documentation says to switch off where performance matters.
"""

from typing import Any, Final

import yaml

from bench.peer import BENCH_KEY, KEY_HEADER, Bed, Checks, Command, Peer, Stand
from bench.tools import Toolbox

HTTP: Final = "envoy.extensions.filters.http"
TYPE: Final = "@type"
JWT_AUTHN: Final = "envoy.filters.http.jwt_authn"
CLIENT_HEADER: Final = "x-gateway-client"
Tree = dict[str, Any]


def _typed(kind: str, **fields: object) -> Tree:
    return {TYPE: f"type.googleapis.com/{kind}", **fields}


def _filter(name: str, kind: str, **fields: object) -> Tree:
    return {"name": name, "typed_config": _typed(f"{HTTP}.{kind}", **fields)}


API_KEY: Final = _filter(
    "envoy.filters.http.api_key_auth",
    "api_key_auth.v3.ApiKeyAuth",
    credentials=[{"key": BENCH_KEY, "client": "bench"}],
    key_sources=[{"header": KEY_HEADER}],
    forwarding={"header": CLIENT_HEADER, "hide_credentials": True},
)

READS_COURSES: Final[Tree] = {
    "and_rules": {
        "rules": [
            {"header": {"name": ":method", "string_match": {"exact": "GET"}}},
            {"url_path": {"path": {"prefix": "/v2/courses"}}},
        ]
    }
}


def _rbac(principal: Tree) -> Tree:
    """Whoever this is may read courses; nobody else may do anything."""
    policy = {"permissions": [READS_COURSES], "principals": [principal]}
    rules = {"action": "ALLOW", "policies": {"read-courses": policy}}
    return _filter("envoy.filters.http.rbac", "rbac.v3.RBAC", rules=rules)


RBAC: Final = _rbac({"header": {"name": CLIENT_HEADER, "string_match": {"exact": "bench"}}})

ROUTER: Final = _filter("envoy.filters.http.router", "router.v3.Router", dynamic_stats=False)

LOG_FIELDS: Final = {
    "ts": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ)%",
    "principal": f"%REQ({CLIENT_HEADER.upper()})%",
    "status": "%RESPONSE_CODE%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "ms": "%DURATION%",
    "upstream_ms": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
}


def _ext_authz(bed: Bed) -> Tree:
    return _filter(
        "envoy.filters.http.ext_authz",
        "ext_authz.v3.ExtAuthz",
        http_service={
            "server_uri": {"uri": f"127.0.0.1:{bed.decision_port}", "cluster": "decision", "timeout": "2s"},
        },
        allowed_headers={"patterns": [{"exact": KEY_HEADER.lower()}]},
    )


def _address(port: int) -> Tree:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, port: int) -> Tree:
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_pending_requests": 4096}]},
    }


def _listener(bed: Bed, filters: list[Tree]) -> Tree:
    access_log = {
        "name": "envoy.access_loggers.file",
        "typed_config": _typed(
            "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            path=str(bed.access_log),
            log_format={"json_format": LOG_FIELDS},
        ),
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "feed", "timeout": "30s"}}
    connection = _typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="integrations",
        use_remote_address=True,
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        request_headers_timeout="10s",
        access_log=[access_log],
        http_filters=[*filters, ROUTER],
        route_config={"virtual_hosts": [{"name": "feed", "domains": ["*"], "routes": [route]}]},
    )
    chain = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connection}]
    }
    return {"name": "integrations", "address": _address(bed.port), "filter_chains": [chain]}


def _stand(bed: Bed, filters: list[Tree], *, asks: bool) -> Stand:
    clusters = [_cluster("feed", bed.upstream_port)]
    if asks:
        clusters.append(_cluster("decision", bed.decision_port))
    tree = {"static_resources": {"listeners": [_listener(bed, filters)], "clusters": clusters}}
    file = bed.write("envoy.yaml", yaml.safe_dump(tree, sort_keys=False))
    envoy = (bed.tools["envoy"], "-c", file, "--concurrency", "1", "-l", "warning", "--disable-hot-restart")
    return Stand((Command.of(*envoy),), bed, asks_decision=asks)


def _api_key_auth(bed: Bed) -> Stand:
    return _stand(bed, [API_KEY, RBAC], asks=False)


def _asking(bed: Bed) -> Stand:
    return _stand(bed, [_ext_authz(bed)], asks=True)


def believing(bed: Bed, keys: str, issuer: str, audience: str, user: str) -> Stand:
    """An Envoy that checks tokens of this issuer by itself, remembers them, and lets this user read courses.

    `keys` is the issuer's key set.
    """
    provider = {
        "issuer": issuer,
        "audiences": [audience],
        "local_jwks": {"inline_string": keys},
        "payload_in_metadata": "claims",
        "jwt_cache_config": {"jwt_cache_size": 1000},
    }
    tokens = _filter(
        JWT_AUTHN,
        "jwt_authn.v3.JwtAuthentication",
        providers={"bench": provider},
        rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
    )
    path = [{"key": "claims"}, {"key": "sub"}]
    metadata = {"filter": JWT_AUTHN, "path": path, "value": {"string_match": {"exact": user}}}
    return _stand(bed, [tokens, _rbac({"metadata": metadata})], asks=False)


def _version(tools: Toolbox) -> str:
    return f"Envoy {tools.version('envoy', '--version')}"


API_KEY_AUTH: Final = Peer(
    "envoy-api-key",
    "Envoy `api_key_auth` + `rbac`",
    Checks.KEY_AND_RULE,
    "a JSON line a request to a file",
    ("envoy",),
    _api_key_auth,
    _version,
)
EXT_AUTHZ: Final = Peer(
    "envoy-ext-authz",
    "Envoy `ext_authz` + decision server",
    Checks.DECISION,
    "a JSON line a request to a file",
    ("envoy",),
    _asking,
    _version,
)
