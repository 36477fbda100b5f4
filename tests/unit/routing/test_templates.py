"""What may be written as a path template."""

import pytest

from gateway.routing.canonical import EMPTY_SEGMENTS, ENCODED_SLASH, SEMICOLON
from gateway.routing.template import Fault, Template, Wild, parse_template


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("/", ()),
        ("/v2/courses", (b"v2", b"courses")),
        ("/v2/courses/", (b"v2", b"courses")),
        ("/v2/{id}", (b"v2", Wild.ONE)),
        ("/{a}/{b-c}/{_d}", (Wild.ONE, Wild.ONE, Wild.ONE)),
        ("/v2/files/**", (b"v2", b"files", Wild.REST)),
        ("/**", (Wild.REST,)),
        ("/a%20b/%C3%BC", (b"a%20b", b"%C3%BC")),
    ],
)
def test_a_template_has_a_shape(text: str, shape: tuple[object, ...]) -> None:
    template = parse_template(text, frozenset())
    assert isinstance(template, Template)
    assert template.shape == shape


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "must begin with a slash; write /v2/courses"),
        ("v2/courses", "must begin with a slash; write /v2/courses"),
        ("http://h/v2", "must begin with a slash"),
        ("/v2?x=1", "holds a query"),
        ("/v2#x", "holds a fragment"),
        ("/v2/{}", "has a placeholder without a name"),
        ("/v2/{a}{b}", "has braces in the segment {a}{b}; a placeholder is a whole segment: /{id}"),
        ("/v2/x{a}", "has braces in the segment x{a}"),
        ("/v2/{a}x", "has braces in the segment {a}x"),
        ("/v2/{a", "has braces"),
        ("/v2/a}", "has braces"),
        ("/v2/{1a}", "has braces"),
        ("/v2/{a/b}", "has braces"),
        ("/{a}/x/{a}", "names the placeholder {a} twice"),
        ("/**/x", "has ** before its end"),
        ("/**/**", "has ** before its end"),
        ("/v2/*", "has a star in the segment *; write {name} for one segment, /** for the rest"),
        ("/v2/a*", "has a star"),
        ("/v2/***", "has a star"),
        ("/v2/./a", "can never match: the path holds a . or .. segment"),
        ("/v2/../a", "can never match: the path holds a . or .. segment"),
        ("/v2/%2e%2e/a", "can never match"),
        ("/v2//a", "can never match: the path holds an empty segment"),
        ("//", "can never match"),
        ("/v2/a b", "can never match: the path holds a character that no path may hold"),
        ("/v2/a;b", "can never match: the path holds a semicolon"),
        ("/v2/a%2Fb", "can never match: the path holds an escaped slash"),
        ("/v2/%zz", "can never match"),
        ("/v2/ü", "holds a letter outside ASCII; percent-encode it"),
        ("/v2/%c3%bc/{id}/", "is not in its normal form, so it can never match; write /v2/%C3%BC/{id}/"),
        ("/v2/%63ourses", "write /v2/courses"),
        ("/a" * 65, "has more than 64 segments"),
    ],
)
def test_what_is_no_template_is_told_with_what_to_write(text: str, complaint: str) -> None:
    fault = parse_template(text, frozenset())
    assert isinstance(fault, Fault)
    assert complaint in f"{fault.message}; {fault.hint}"


@pytest.mark.parametrize(
    ("text", "rule"), [("/a;b", SEMICOLON), ("/a%2Fb", ENCODED_SLASH), ("/a//b", EMPTY_SEGMENTS)]
)
def test_a_relaxed_rule_holds_for_templates_too(text: str, rule: str) -> None:
    assert isinstance(parse_template(text, frozenset({rule})), Template)
