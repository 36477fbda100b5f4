"""Files of TLS: what is wrong with one is told by name, and never what it holds."""

import ssl
import subprocess
from pathlib import Path

import pytest
from authorities import Authority, Pair

from gateway.tls.contexts import (
    ClientTerms,
    KeyPair,
    ServerTerms,
    UnfitFileError,
    client_context,
    server_context,
)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.pair("feeds.test")


def refused(certificate: Path, key: Path) -> UnfitFileError:
    with pytest.raises(UnfitFileError) as told:
        server_context(ServerTerms(KeyPair(certificate, key)))
    assert "BEGIN" not in str(told.value)
    return told.value


def test_a_missing_file_is_named(pair: Pair, tmp_path: Path) -> None:
    unfit = refused(pair.certificate, tmp_path / "nowhere.key")
    assert (unfit.file, unfit.why) == (
        tmp_path / "nowhere.key",
        "cannot be read: no such file or directory",
    )


def test_a_key_for_another_certificate_is_named(pair: Pair, authority: Authority) -> None:
    other = authority.pair("other.test")
    unfit = refused(pair.certificate, other.key)
    assert unfit.file == other.key
    assert str(pair.certificate) in unfit.why


def test_a_file_without_a_certificate_is_named(pair: Pair) -> None:
    assert refused(pair.key, pair.key).file == pair.key
    pair.certificate.write_text("hello")
    assert refused(pair.certificate, pair.key).file == pair.certificate


def test_a_file_without_a_key_is_named(pair: Pair) -> None:
    unfit = refused(pair.certificate, pair.certificate)
    assert "holds no private key" in unfit.why


def test_a_key_with_a_password_is_told_as_that_and_nobody_is_asked_for_it(pair: Pair, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", str(pair.key), "-aes256", "-passout", "pass:secret"]
    subprocess.run([*command, "-out", str(locked)], check=True, capture_output=True)
    unfit = refused(pair.certificate, locked)
    assert (unfit.file, unfit.why) == (locked, "has a password; give a key without one")


def test_authorities_that_are_none_are_named(pair: Pair, tmp_path: Path) -> None:
    for terms in (ClientTerms(ca=pair.key), ClientTerms(ca=tmp_path)):
        with pytest.raises(UnfitFileError):
            client_context(terms)


def test_a_feed_is_verified_by_name_unless_that_is_switched_off(authority: Authority) -> None:
    strict = client_context(ClientTerms(ca=authority.file))
    assert (strict.check_hostname, strict.verify_mode) == (True, ssl.CERT_REQUIRED)
    lax = client_context(ClientTerms(verify=False))
    assert (lax.check_hostname, lax.verify_mode) == (False, ssl.CERT_NONE)


def test_neither_side_speaks_less_than_tls_1_2_or_renegotiates(pair: Pair, authority: Authority) -> None:
    ours = server_context(ServerTerms(KeyPair(pair.certificate, pair.key)))
    theirs = client_context(ClientTerms(ca=authority.file))
    for context in (ours, theirs):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION
