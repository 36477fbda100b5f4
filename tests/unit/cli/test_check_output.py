"""The shared output of all commands: what people and programs may rely on."""

import json
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

from gateway.cli import output


def run(body: Callable[[], None]) -> Result:
    return CliRunner().invoke(click.command("it")(body))


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (None, "-"),
        ("", "-"),
        ((), "-"),
        ([], "-"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (["b", "a"], "b, a"),
        (frozenset({"b", "a"}), "a, b"),
        ("plain", "plain"),
    ],
)
def test_a_cell_reads_as_a_word(cell: object, shown: str) -> None:
    assert output.word(cell) == shown


def test_a_label_cannot_steer_the_terminal() -> None:
    result = run(lambda: output.show_table(["label"], [["\x1b[2Jgone[bold]"]]))
    assert "\x1b" not in result.stdout
    assert "\\x1b[2Jgone[bold]" in result.stdout


def test_a_table_that_is_piped_cuts_nothing_short() -> None:
    long = "x" * 500
    assert long in run(lambda: output.show_table(["name"], [[long]])).stdout


def test_no_rows_are_a_sentence() -> None:
    assert run(lambda: output.show_table(["name"], [], empty="no keys yet")).stdout == "no keys yet\n"


def test_fields_line_up() -> None:
    result = run(lambda: output.show_fields({"id": 7, "label": "web"}))
    assert result.stdout == "id     7\nlabel  web\n"


def test_json_is_one_document_on_standard_output() -> None:
    result = run(lambda: output.show_json({"scopes": ["a"], "locked": False}))
    assert json.loads(result.stdout) == {"scopes": ["a"], "locked": False}


@pytest.mark.parametrize(
    "text", ["\x9b2J", "a\x7f", "\u202eabc", "\u2028", "\U000e0041", "é ünï 学生 🎓", "\udcff", "\\\n\x1b[2J"]
)
def test_json_steers_no_terminal_and_says_the_same(text: str) -> None:
    result = run(lambda: output.show_json({text: [text]}))
    assert result.stdout.replace("\n", "").isprintable()
    assert json.loads(result.stdout) == {text: [text]}


def test_a_failure_says_what_and_what_to_do_and_leaves_standard_output_alone() -> None:
    result = run(lambda: output.fail("no such key", "list them with: gateway keys list"))
    assert result.exit_code == output.REFUSED
    assert result.stdout == ""
    assert result.stderr == "error: no such key\nhint: list them with: gateway keys list\n"


def test_problems_and_warnings_go_to_standard_error() -> None:
    def body() -> None:
        output.show_problems(["a.yaml:1: bad"])
        output.warn("look out")
        output.say("done")

    result = run(body)
    assert result.stderr == "a.yaml:1: bad\nwarning: look out\n"
    assert result.stdout == "done\n"
