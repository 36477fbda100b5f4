"""Every peer there is, in the order of the table."""

from typing import Final

from bench.peer import Peer
from bench.peers import aiohttp_proxy, caddy, envoy, floor, haproxy, nginx, scopegate, traefik

PEERS: Final[tuple[Peer, ...]] = (
    scopegate.PEER,
    scopegate.PEER_COMPILED,
    floor.PEER,
    nginx.FORWARDING,
    haproxy.PEER,
    nginx.AUTH_REQUEST,
    envoy.API_KEY_AUTH,
    envoy.EXT_AUTHZ,
    traefik.PEER,
    caddy.PEER,
    aiohttp_proxy.PEER,
)
