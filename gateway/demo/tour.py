"""The demo's tour: requests to try, each with the answer to expect, as curl lines and over HTTP."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
import orjson
from yarl import URL

from gateway.demo.integrations import ADA, HR, REPORTING, TIMETABLE, WEBSITE
from gateway.domain.verdict import Reason

KEY_HEADER: Final = "X-API-Key"
DAMAGED: Final = "damaged"
"""Stands for a key with a typing error in it."""
FORGED: Final = "forged"
"""Stands for a token whose signature is another's."""
PATIENCE: Final = aiohttp.ClientTimeout(total=20)


@dataclass(frozen=True, slots=True)
class Stop:
    """One request of the tour. `key` or `token` names who asks; `code` is a refusal's, None if permitted."""

    says: str
    method: str
    path: str
    status: int
    key: str | None = None
    code: Reason | None = None
    body: Mapping[str, object] | None = None
    token: str | None = None

    def credential(self, secrets: Mapping[str, str]) -> dict[str, str]:
        """The header field that says who asks, if anybody does."""
        if self.token is not None:
            return {"Authorization": f"Bearer {secrets[self.token]}"}
        return {} if self.key is None else {KEY_HEADER: secrets[self.key]}

    def curl(self, gateway: str, secrets: Mapping[str, str]) -> str:
        """The request as a line to paste into a shell."""
        words = ["curl", "-s", "-i"]
        if "%2e" in self.path:
            words.append("--path-as-is")
        if self.method != "GET":
            words += ["-X", self.method]
        for name, value in self.credential(secrets).items():
            words += ["-H", f"{name}: {value}"]
        if self.body is not None:
            words += ["-H", "Content-Type: application/json", "-d", orjson.dumps(self.body).decode()]
        return shlex.join([*words, gateway + self.path])


TOUR: Final = (
    Stop("The website lists courses.", "GET", "/v2/courses?category=Food", 200, WEBSITE.name),
    Stop(
        "It searches course dates: a search by POST is mapped to read.",
        "POST",
        "/v2/course-dates/search",
        200,
        WEBSITE.name,
        body={"where": {"status": "open"}, "sort": "starts_on", "page_size": 3},
    ),
    Stop("It may not see users.", "GET", "/v2/users", 403, WEBSITE.name, Reason.SCOPE_DENIED),
    Stop(
        "It may not change a price.",
        "PATCH",
        "/v2/courses/1",
        403,
        WEBSITE.name,
        Reason.SCOPE_DENIED,
        {"price": "1.00"},
    ),
    Stop(
        "The HR system marks a user as gone.", "PATCH", "/v2/users/42", 200, HR.name, body={"active": False}
    ),
    Stop(
        "It records an award.",
        "POST",
        "/v2/user-awards",
        201,
        HR.name,
        body={"user_id": 42, "course_id": 1, "awarded_on": "2026-01-12"},
    ),
    Stop("It may not see invoices.", "GET", "/v2/invoices", 403, HR.name, Reason.SCOPE_DENIED),
    Stop("Reporting downloads an export.", "GET", "/v2/files/exports/invoices.csv", 200, REPORTING.name),
    Stop("It asks what the feed is told of it.", "GET", "/v2/whoami", 200, REPORTING.name),
    Stop(
        "It may not delete a booking.", "DELETE", "/v2/bookings/1", 403, REPORTING.name, Reason.SCOPE_DENIED
    ),
    Stop("A user's token lists users.", "GET", "/v2/users?page_size=2", 200, token=ADA.name),
    Stop(
        "It may not see invoices, either.",
        "GET",
        "/v2/invoices",
        403,
        code=Reason.SCOPE_DENIED,
        token=ADA.name,
    ),
    Stop("An OAuth2 client's token lists courses.", "GET", "/v2/courses", 200, token=TIMETABLE.name),
    Stop(
        "A token that somebody has changed is refused.",
        "GET",
        "/v2/courses",
        401,
        code=Reason.CREDENTIAL_INVALID,
        token=FORGED,
    ),
    Stop(
        "A path that no route maps is never forwarded.",
        "GET",
        "/v2/payroll",
        404,
        REPORTING.name,
        Reason.ROUTE_UNMAPPED,
    ),
    Stop(
        "A path with two readings is refused.",
        "GET",
        "/v2/courses/%2e%2e/users",
        400,
        WEBSITE.name,
        Reason.PATH_AMBIGUOUS,
    ),
    Stop("A public route needs no key.", "GET", "/v2/status", 200),
    Stop("Everything else does.", "GET", "/v2/courses", 401, None, Reason.CREDENTIAL_MISSING),
    Stop(
        "A key with a typing error is refused.", "GET", "/v2/courses", 401, DAMAGED, Reason.CREDENTIAL_INVALID
    ),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back for one stop of the tour: status, and the refusal's code if the gateway answered."""

    stop: Stop
    status: int
    code: str | None

    @property
    def as_told(self) -> bool:
        """Whether it is what the tour told to expect."""
        return (self.status, self.code) == (self.stop.status, self.stop.code)


def damaged(key: str) -> str:
    """The key with its last character changed, as a typing error would."""
    return key[:-1] + ("0" if key[-1] != "0" else "1")


def forged(token: str, another: str) -> str:
    """The claims of one token with the signature of another."""
    return ".".join((*token.split(".")[:2], another.split(".")[2]))


async def take(gateway: str, secrets: Mapping[str, str]) -> list[Outcome]:
    """Make every request of the tour, in order. Raises aiohttp.ClientError and TimeoutError."""
    async with aiohttp.ClientSession(timeout=PATIENCE) as session:
        return [await _outcome(session, stop, gateway, secrets) for stop in TOUR]


async def _outcome(
    session: aiohttp.ClientSession, stop: Stop, gateway: str, secrets: Mapping[str, str]
) -> Outcome:
    headers = stop.credential(secrets)
    url = URL(gateway + stop.path, encoded=True)
    async with session.request(stop.method, url, json=stop.body, headers=headers) as answer:
        body = await answer.read()
        refused = answer.content_type == "application/problem+json" and "Proxy-Status" in answer.headers
        return Outcome(stop, answer.status, orjson.loads(body)["code"] if refused else None)
