"""The README followed to the letter: its commands typed as they stand, its printed output compared."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Commands
from feeds import Feed
from gateways import GatewayUnderTest, write_configuration
from operations import ask, printed, serving, status, told, until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
GATEWAY = str(Path(sys.executable).with_name("gateway"))


def blocks(language: str) -> list[str]:
    """The README's code blocks in a language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", README, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


@pytest.fixture
def place(tmp_path: Path, feed: Feed) -> Path:
    """A folder with the example configuration, on free ports and in front of a feed that is there."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    file = tmp_path / "config" / "gateway.yaml"
    text = file.read_text()
    for port, free in (("8080", "0"), ("8081", "0"), ("9000", str(feed.port))):
        assert f"127.0.0.1:{port}" in text
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free}")
    file.write_text(text)
    return tmp_path


def typed(place: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Type a line of the README in a folder."""
    words = shlex.split(line)
    assert words[0] == "gateway"
    environment = {name: value for name, value in os.environ.items() if name != "GATEWAY_CONFIG"}
    return subprocess.run(
        [GATEWAY, *words[1:]], capture_output=True, text=True, cwd=place, env=environment, check=False
    )


def test_a_gateway_in_front_of_ones_own_feed_comes_about_as_written(place: Path) -> None:
    checked = typed(place, "gateway check")
    assert (checked.returncode, checked.stderr) == (0, "")
    matched = typed(place, "gateway routes match POST /v2/courses/search")
    assert (matched.returncode, "read" in matched.stdout) == (0, True)
    lines = [line for text in blocks("sh") for line in text.splitlines() if line.startswith("gateway ")]
    assert len(lines) == 2
    answers = [typed(place, line) for line in lines]
    assert [answer.returncode for answer in answers] == [0, 0], answers
    key = re.findall(r"sg_1_\w+", answers[1].stdout)[0]
    with serving(place / "config" / "gateway.yaml", command=(GATEWAY, "serve"), directory=place) as gateway:
        assert told(ask(gateway, "GET", "/v2/courses/1", key=key)) == (200, None)
        assert told(ask(gateway, "PATCH", "/v2/courses/1", key=key, body=b"{}")) == (403, "scope_denied")
        assert told(ask(gateway, "GET", "/v2/status")) == (200, None)
    assert (place / "var" / "denied.log").exists()


DEMO_ROUTES = """\
feed: test
modules: {courses: Courses, course-dates: Course Dates, users: Users}
routes:
  - {path: "/v2/courses/{id}", module: courses}
  - {path: /v2/course-dates, module: course-dates}
  - {path: /v2/users, module: users}
"""


def flattened(text: str) -> list[str]:
    """The words of each line that has any, whatever the width of a table."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip("─ ")]


@pytest.fixture
def website(tmp_path: Path, feed: Feed) -> Iterator[GatewayUnderTest]:
    file = write_configuration(tmp_path, [feed.port], routes=DEMO_ROUTES)
    with serving(file) as gateway:
        yield gateway


def test_what_explain_prints_and_how_the_answer_flips_is_as_shown(
    website: GatewayUnderTest, commands: Commands
) -> None:
    shown = next(text for text in blocks("console") if "gateway explain" in text)
    command, _, output = shown.partition("\n")
    run = commands.on(website.file)
    run.scope("website", read="courses,course-dates")
    _, key = run.key("website", label="Website")
    words = shlex.split(command.removeprefix("$ gateway "))
    done = run(*words)
    assert done.returncode == 1
    got = done.stdout.replace(str(website.file.parent) + "/", "").replace("routes.yaml:4", "routes.yaml:19")
    expected = output.replace("feed training (", "feed test (").replace("feed       training", "feed test")
    *lines, elision = flattened(expected)
    assert (flattened(got)[: len(lines)], elision) == (lines, "…")
    assert printed(run(*words, "--json"), 1)["permitted"] is False

    before = ask(website, "PATCH", "/v2/courses/1", key=key, body=b"{}")
    response = next(text for text in blocks("console") if "curl" in text)
    names = re.findall(r"^([A-Z][A-Za-z-]+): ", response, re.MULTILINE)
    assert set(names) <= {name for name, _ in before.headers}
    assert set(before.problem) == set(
        re.findall(r'"(\w+)":', response.partition("{")[2].partition("\n\n{")[2])
    )
    flip = next(text for text in blocks("console") if text.startswith("$ gateway scopes update"))
    line, _, said = flip.partition("\n")
    changed = run(*shlex.split(line.removeprefix("$ gateway ")))
    assert changed.stdout.startswith(said.strip())
    until(lambda: status(website, "PATCH", "/v2/courses/1", key) == 200, within=2)
