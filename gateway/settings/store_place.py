"""Where scopes and keys are kept, and for how long the gateway serves from memory while that is away."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, field_serializer, model_validator

from gateway.document.fields import DurationOrNone
from gateway.document.section import Section, unfit

_URL: Final = re.compile(r"(?:sqlite:///[^?#]+|postgresql://[^/]+/.+)", re.DOTALL)
_PASSWORD: Final = re.compile(r"(?<=://)[^/@]*@|(?<=[?&]password=)[^&]*")


def _store(url: str) -> str:
    if _URL.fullmatch(url) is None:
        raise unfit("is not a store", "write sqlite:///path/to/file.db or postgresql://user@host/database")
    return url


class StoreSettings(Section):
    """The store's URL; `stale_for` is how many seconds callers who are known are served while it is away."""

    url: Annotated[str, AfterValidator(_store), Field(repr=False)] = "sqlite:///var/scopegate.db"
    stale_for: DurationOrNone = 300.0

    @model_validator(mode="before")
    @classmethod
    def _read(cls, written: object) -> object:
        """A URL alone stands for the mapping."""
        return {"url": _store(written)} if isinstance(written, str) else written

    @field_serializer("url")
    def _without_password(self, url: str) -> str:
        """The URL without what proves us to the store."""
        return _PASSWORD.sub("***", url)
