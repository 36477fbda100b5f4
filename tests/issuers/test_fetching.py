"""Documents from servers that are hostile, broken, slow, or away, and from good ones."""

import asyncio
import gzip
import socket
import zlib
from pathlib import Path

import pytest
from authorities import Authority
from feeds import Script
from hypothesis import given
from hypothesis import strategies as some
from issuing import KEYS, Issuer, answered, fields_of, running_issuer, saying
from waiting import until

from gateway.issuers.fetching import LARGEST, Fetched, Fetcher, FetchError, fresh_for
from gateway.tls.contexts import UnfitFileError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOMB = gzip.compress(b" " * 50_000_000)


async def fault_of(fetcher: Fetcher, url: str) -> FetchError:
    """Why a document cannot be had; the sentence names it, and it alone."""
    with pytest.raises(FetchError) as caught:
        await fetcher.document(url)
    sentence = str(caught.value)
    assert sentence.startswith(url.partition("?")[0])
    assert caught.value.__cause__ is None
    return caught.value


# What a server may say


SAID = [
    (saying(b""), "closed the connection before it had answered"),
    (saying(b"\x00\x01\x02\x03\r\n\r\n"), "answered what is not HTTP/1.1"),
    (saying(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "answered what is not HTTP/1.1"),
    (saying(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "answered what is not HTTP/1.1"),
    (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{}"), "answered what is not HTTP/1.1"),
    (saying(HEAD + b"X: " + b"a" * 100_000 + b"\r\n\r\n"), "answered what is not HTTP/1.1"),
    (saying(HEAD + b"X: a\r\n" * 10_000 + b"\r\n"), "answered what is not HTTP/1.1"),
    (saying(HEAD + b"Content-Length: 20\r\n\r\n{}"), "cut its answer short"),
    (saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"), "cut its answer short"),
    (saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"), "answered what is not HTTP/1.1"),
    (saying(answered("{}", 301, Location="/elsewhere")), "answered 301: it redirects"),
    (saying(answered("{}", 302, Location="http://169.254.169.254/")), "answered 302: it redirects"),
    (saying(answered("{}", 307, Location="/elsewhere")), "answered 307: it redirects"),
    (saying(answered("{}", 308, Location="/elsewhere")), "answered 308: it redirects"),
    (saying(b"HTTP/1.1 304 Not Modified\r\n\r\n"), "answered 304"),
    (saying(answered("{}", 201)), "answered 201"),
    (saying(b"HTTP/1.1 204 No Content\r\n\r\n"), "answered 204"),
    (saying(answered("{}", 206, Content_Range="bytes 0-1/3")), "answered 206"),
    (saying(answered("{}", 401, WWW_Authenticate="Basic")), "answered 401"),
    (saying(answered("{}", 404)), "answered 404"),
    (saying(answered("{}", 500)), "answered 500"),
    (saying(answered("<html></html>", kind="text/html; charset=utf-8")), "is 'text/html', not JSON"),
    (saying(answered("x", kind="application/\x1b[2J")), r"is 'application/\x1b[2j', not JSON"),
    (saying(answered("x", kind="image/png")), "is 'image/png', not JSON"),
    (saying(answered(gzip.compress(b"{}"), Content_Encoding="gzip")), "is compressed"),
    (saying(answered(zlib.compress(b"{}"), Content_Encoding="deflate")), "is compressed"),
    (saying(answered(BOMB, Content_Encoding="gzip")), "is compressed"),
    (saying(answered(BOMB, Content_Encoding="identity, GZip")), "is compressed"),
    (saying(answered(b" " * (LARGEST + 1))), "is longer than 256 KiB"),
]


@pytest.mark.parametrize(("script", "why"), SAID)
async def test_what_is_no_document_is_told_in_a_sentence(
    issuer: Issuer, fetcher: Fetcher, script: Script, why: str
) -> None:
    issuer.speak(script)
    assert why in str(await fault_of(fetcher, f"{issuer.url}{KEYS}"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(issuer: Issuer, fetcher: Fetcher, status: int) -> None:
    issuer.page(KEYS, "{}", status, Location="/elsewhere")
    issuer.page("/elsewhere", "{}")
    assert (await fault_of(fetcher, issuer.url + KEYS)).status == status
    assert issuer.asked("/elsewhere") == 0


def endless(head: bytes, piece: bytes, wait: float = 0.0) -> Script:
    """A server that never ends what it says."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(wait)

    return speak


NEVER_WHOLE = [
    endless(b"", b"", 0.05),
    endless(b"HTTP/1.1 ", b"", 0.05),
    endless(b"HTTP/1.1 200 OK\r\nX: ", b"a", 0.05),
    endless(HEAD + b"Content-Length: 1000\r\n\r\n", b" ", 0.05),
    endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.05),
    endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.01),
]


@pytest.mark.parametrize("script", NEVER_WHOLE)
async def test_an_answer_that_takes_too_long_is_given_up_at_its_time(issuer: Issuer, script: Script) -> None:
    issuer.speak(script)
    began = asyncio.get_running_loop().time()
    async with Fetcher(timeout=0.5) as hurried:
        why = str(await fault_of(hurried, issuer.url + KEYS))
    assert "has not answered whole within 0.5 s" in why
    assert asyncio.get_running_loop().time() - began < 3


ENDLESS_BODIES = [
    endless(HEAD + b"\r\n", b" " * 60_000),
    endless(HEAD + b"Content-Length: 10000000000\r\n\r\n", b" " * 60_000),
    endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b" " * 0x8000 + b"\r\n"),
]


@pytest.mark.parametrize("script", ENDLESS_BODIES)
async def test_a_body_without_end_is_left_at_the_bound(
    issuer: Issuer, fetcher: Fetcher, script: Script
) -> None:
    issuer.speak(script)
    assert "is longer than 256 KiB" in str(await fault_of(fetcher, issuer.url + KEYS))
    await until(lambda: not issuer.open)


async def test_a_server_that_resets_is_told_in_a_sentence(issuer: Issuer, fetcher: Fetcher) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        wire: socket.socket = writer.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    issuer.speak(reset)
    assert "closed the connection before it had answered" in str(await fault_of(fetcher, issuer.url + KEYS))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_port_where_nobody_listens_is_told_in_a_sentence(fetcher: Fetcher, host: str) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://{host}:{bound.getsockname()[1]}{KEYS}"
        fault = await fault_of(fetcher, url)
    assert str(fault) == f"{url} cannot be reached: connection refused"
    assert fault.status is None


async def test_a_name_that_cannot_be_looked_up_is_told_in_a_sentence(fetcher: Fetcher) -> None:
    why = str(await fault_of(fetcher, "https://nowhere.invalid/keys"))
    assert "the name nowhere.invalid cannot be looked up" in why or "has not answered" in why


@pytest.mark.parametrize(
    "url", ["http://id.test/keys", "https://ada:pa55@id.test/keys", "ftp://id.test", "keys.json", ""]
)
async def test_a_url_that_may_not_be_used_is_not_asked(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(FetchError) as caught:
        await fetcher.document(url)
    assert "pa55" not in str(caught.value)


async def test_no_query_of_a_url_is_in_a_message(issuer: Issuer, fetcher: Fetcher) -> None:
    why = await fault_of(fetcher, f"{issuer.url}{KEYS}?key=s3cret")
    assert "s3cret" not in str(why)
    assert issuer.server.requests[0].target == f"{KEYS}?key=s3cret"


# TLS


async def test_a_server_is_believed_by_the_authorities_that_are_named(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    async with running_issuer(ours.server(ours.pair("localhost"))) as issuer:
        issuer.page(KEYS, "{}")
        async with Fetcher(ca=ours.file) as fetcher:
            assert (await fetcher.document(issuer.url + KEYS)).body == b"{}"
        async with Fetcher(ca=other.file) as fetcher:
            assert "its certificate does not prove who it is" in str(
                await fault_of(fetcher, issuer.url + KEYS)
            )
        async with Fetcher() as fetcher:
            assert "its certificate does not prove who it is" in str(
                await fault_of(fetcher, issuer.url + KEYS)
            )


async def test_a_certificate_for_another_host_is_not_believed(tmp_path: Path) -> None:
    ours = Authority(tmp_path)
    async with (
        running_issuer(ours.server(ours.pair("id.example.com"))) as issuer,
        Fetcher(ca=ours.file) as fetcher,
    ):
        why = str(await fault_of(fetcher, issuer.url + KEYS))
    assert "its certificate does not prove who it is (hostname mismatch" in why
    assert issuer.server.requests == []


async def test_a_server_without_tls_is_told_in_a_sentence(issuer: Issuer, fetcher: Fetcher) -> None:
    url = issuer.url.replace("http:", "https:") + KEYS

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    issuer.speak(refuse)
    assert "cannot be reached: TLS fails (wrong version number)" in str(await fault_of(fetcher, url))


def test_a_file_of_authorities_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(UnfitFileError, match="holds no certificates of authorities"):
        Fetcher(ca=tmp_path / "ca.pem")
    with pytest.raises(UnfitFileError, match="cannot be read"):
        Fetcher(ca=tmp_path / "absent.pem")


# What a good server is asked, and says


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/jwk-set+json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "text/plain",
        "application/octet-stream",
        "",
    ],
)
async def test_a_document_is_taken_as_json_under_any_type_that_it_may_have(
    issuer: Issuer, fetcher: Fetcher, kind: str
) -> None:
    issuer.speak(saying(answered('{"keys": []}', kind=kind)))
    assert (await fetcher.document(issuer.url + KEYS)).body == b'{"keys": []}'


async def test_a_document_as_long_as_allowed_is_taken_whole(issuer: Issuer, fetcher: Fetcher) -> None:
    issuer.page(KEYS, b" " * LARGEST)
    assert len((await fetcher.document(issuer.url + KEYS)).body) == LARGEST


async def test_a_request_holds_what_it_must_and_nothing_that_was_set_before(
    issuer: Issuer, fetcher: Fetcher
) -> None:
    issuer.page(KEYS, "{}", Set_Cookie="session=1; Path=/")
    await fetcher.document(issuer.url + KEYS)
    await fetcher.document(issuer.url + KEYS)
    fields = fields_of(issuer.server.requests[1])
    assert fields == {
        "host": issuer.url.removeprefix("http://"),
        "accept": "application/json, application/jwk-set+json, */*;q=0.1",
        "accept-encoding": "identity",
        "user-agent": "scopegate",
    }


async def test_proxies_and_passwords_of_the_environment_are_not_used(
    issuer: Issuer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine localhost login ada password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    issuer.page(KEYS, "{}")
    assert (await fetcher.document(issuer.url + KEYS)).body == b"{}"
    assert "authorization" not in fields_of(issuer.server.requests[0])


FRESHNESS = [
    ({}, None),
    ({"Cache_Control": "public"}, None),
    ({"Cache_Control": "max-age=600"}, 600),
    ({"Cache_Control": "public, MAX-AGE=600, must-revalidate"}, 600),
    ({"Cache_Control": 'max-age="600"'}, 600),
    ({"Cache_Control": "max-age=600", "Age": "100"}, 500),
    ({"Cache_Control": "max-age=600", "Age": "1000"}, 0),
    ({"Cache_Control": "max-age=600", "Age": "soon"}, 600),
    ({"Cache_Control": "max-age=600, max-age=60"}, 60),
    ({"Cache_Control": "max-age=600, no-cache"}, 0),
    ({"Cache_Control": "no-store"}, 0),
    ({"Cache_Control": "max-age=-1"}, None),
    ({"Cache_Control": "max-age=1e9"}, None),
    ({"Cache_Control": "s-maxage=600"}, None),
    ({"Cache_Control": "max-age=" + "9" * 400}, None),
]


@pytest.mark.parametrize(("fields", "seconds"), FRESHNESS)
async def test_how_long_a_document_may_be_kept_is_what_its_server_said(
    issuer: Issuer, fetcher: Fetcher, fields: dict[str, str], seconds: float | None
) -> None:
    issuer.page(KEYS, "{}", **fields)
    assert await fetcher.document(issuer.url + KEYS) == Fetched(b"{}", seconds)


@given(some.text(), some.text())
def test_whatever_is_said_of_freshness_is_understood_or_left(said: str, age: str) -> None:
    seconds = fresh_for(said, age)
    assert seconds is None or seconds >= 0


# Lifetimes


async def test_closing_ends_every_connection_and_nothing_is_fetched_afterwards(issuer: Issuer) -> None:
    issuer.page(KEYS, "{}")
    fetcher = Fetcher()
    await asyncio.gather(*(fetcher.document(issuer.url + KEYS) for _ in range(8)))
    assert issuer.open
    await fetcher.close()
    await until(lambda: not issuer.open)
    with pytest.raises(FetchError, match="ending"):
        await fetcher.document(issuer.url + KEYS)


async def test_who_gives_up_waiting_leaves_no_connection_behind(issuer: Issuer, fetcher: Fetcher) -> None:
    issuer.hold()
    asked = asyncio.create_task(fetcher.document(issuer.url + KEYS))
    await issuer.server.until(lambda server: len(server.requests) == 1)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    issuer.let_go()
    await until(lambda: not issuer.open)


async def test_a_fetcher_that_was_never_used_can_be_closed() -> None:
    await Fetcher().close()
