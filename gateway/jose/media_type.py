"""What a token says it is: the `typ` and `cty` of its header, compared as media types (RFC 7515 §4.1.9)."""

from typing import Final

ACCESS_TOKEN: Final = "application/at+jwt"  # noqa: S105 - a type, not a token
"""RFC 9068 §2.1."""

JWT: Final = "application/jwt"
"""RFC 7519 §10.3.1."""


def media_type(name: str) -> str:
    """The media type that a name stands for, in lower case: one without a slash belongs to `application/`."""
    lower = name.lower()
    return lower if "/" in lower else f"application/{lower}"


def is_something_else(name: str) -> bool:
    """Whether a type says that a token is none for access: `dpop+jwt`, `logout+jwt`, `secevent+jwt`, ….

    Explicit typing gives each kind of token a suffix (RFC 8725 §3.11), and `at+jwt` is the one for access.
    """
    told = media_type(name)
    return "+" in told and told != ACCESS_TOKEN
