"""Typed sections of a file: pydantic says what is wrong, this says it to people, with file, line and key."""

import re
from collections.abc import Mapping
from types import MappingProxyType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from gateway.document.problem import Location, nearest
from gateway.document.yamlfile import Document, Value

UNFIT: Final = "unfit"

NEVER_SHOWN: Final = frozenset(
    {"store", "upstream", "credentials", "value", "client_secret", "secret", "url"}
)
"""Keys under which a secret may stand, rightly or by mistake; what stands there is never repeated."""

_USER_IN_URL: Final = re.compile(r"//[^/]*@")
"""Where a password may stand whatever the key is."""

SAID: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing": "is required",
        "extra_forbidden": "unknown key",
        "model_type": "must be a mapping of keys to values",
        "model_attributes_type": "must be a mapping of keys to values",
        "dict_type": "must be a mapping of keys to values",
        "mapping_type": "must be a mapping of keys to values",
        "tuple_type": "must be a list",
        "list_type": "must be a list",
        "frozen_set_type": "must be a list",
        "string_type": "must be one value",
        "int_parsing": "must be a whole number",
        "int_parsing_size": "must be a whole number of ordinary size",
        "int_type": "must be a whole number",
        "bool_parsing": "must be true or false",
        "bool_type": "must be true or false",
        "enum": "must be {expected}",
        "literal_error": "must be {expected}",
        "greater_than_equal": "must be at least {ge}",
        "greater_than": "must be more than {gt}",
        "less_than_equal": "must be at most {le}",
        "too_short": "must not be empty",
        "string_too_short": "must not be empty",
    }
)
"""How people hear each of pydantic's complaints; one that is not listed is told in pydantic's own words."""

WHOLE: Final = frozenset({"missing", "extra_forbidden", UNFIT})
"""Complaints that are not about one value's spelling, or show it themselves."""


TEXT_ALONE: Final = frozenset({str})


class Section(BaseModel):
    """A part of a file: unknown keys are errors, and what was read never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


Read = TypeVar("Read", bound=Section)


def unfit(said: str, hint: str = "") -> PydanticCustomError:
    """The error a field's own check raises; `said` begins with a verb and does not repeat the value."""
    return PydanticCustomError(UNFIT, "{said}", {"said": said, "hint": hint})


def read_section(
    document: Document,
    kind: type[Read],
    content: Value,
    at: Location = (),
    context: Mapping[str, object] | None = None,
) -> Read | None:
    """The typed section at a location, or None, with every complaint recorded in the document."""
    content = _without_nothing(document, content, at)
    try:
        section = kind.model_validate(content, context=context)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _complain(document, kind, detail, at)
        return None
    return None if at in document.around else section


def _without_nothing(document: Document, content: Value, at: Location) -> Value:
    """The content without keys that have no value; each is a problem."""
    if content is None:
        document.complain(at, "has no value", "give one, or leave the key out")
    if isinstance(content, list):
        return [_without_nothing(document, item, (*at, place)) for place, item in enumerate(content)]
    if isinstance(content, dict):
        if set(map(type, content.values())) <= TEXT_ALONE:
            return content
        return {
            key: value
            for key, item in content.items()
            if (value := _without_nothing(document, item, (*at, key))) is not None
        }
    return content


def _complain(document: Document, kind: type[Section], detail: ErrorDetails, at: Location) -> None:
    """Record one of pydantic's complaints in the words of this house."""
    inside = tuple(step for step in detail["loc"] if step != "[key]")
    location = at + inside
    context: dict[str, Any] = detail.get("ctx", {})
    hint = str(context.get("hint", ""))
    if detail["type"] == "extra_forbidden":
        hint = nearest(str(inside[-1]), _keys_at(kind, inside[:-1]), what="known keys")
    said = (
        str(context["said"])
        if detail["type"] == UNFIT
        else SAID.get(detail["type"], detail["msg"]).format(**context)
    )
    document.complain(location, _shown(document, location, detail) + said, hint)


def _shown(document: Document, location: Location, detail: ErrorDetails) -> str:
    """The offending text in quotes, where it may be shown at all."""
    value = detail["input"]
    around = {location[:depth] for depth in range(len(location) + 1)}
    secret = not document.from_environment.isdisjoint(around) or not NEVER_SHOWN.isdisjoint(location)
    if detail["type"] in WHOLE - {UNFIT} or not isinstance(value, str):
        return ""
    if secret or _USER_IN_URL.search(value):
        return "the value "
    return f"{value!r} " if len(value) <= 80 else f"{value[:77]!r}… "  # noqa: PLR2004 - a line has 80 columns


def _keys_at(kind: type[Section], location: Location) -> list[str]:
    """The keys known at a location inside a section."""
    here: Any = kind
    for step in location:
        here = _bare(here)
        if isinstance(here, type) and issubclass(here, Section):
            here = here.model_fields[str(step)].annotation
        else:
            args = [arg for arg in get_args(here) if arg is not Ellipsis]
            here = args[-1] if args else None
    here = _bare(here)
    return list(here.model_fields) if isinstance(here, type) and issubclass(here, Section) else []


def _bare(kind: Any) -> Any:  # noqa: ANN401 - any annotation there is
    """An annotation without `| None`."""
    if get_origin(kind) in {Union, UnionType}:
        return next(arg for arg in get_args(kind) if arg is not type(None))
    return kind
