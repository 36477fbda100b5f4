"""What a run of the benchmark consists of: which cases, in which order, of what length, asked how."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Row
from bench.cases import CASES, UnknownCaseError, chosen
from bench.effort import QUICK, WHOLE
from bench.filling import existing_key
from bench.machine import Cores, cores_for_two
from bench.peer import BODY, LARGE_BODY, Checks, Load
from bench.peers.scopegate import FEW, merged, paths_over, route_map
from bench.process import ROOT, PeerFailedError
from bench.readings import Figures
from bench.rounds import interleaved, measure_all
from bench.run import arguments, command_line, planned
from bench.subject import claims
from bench.tools import gather
from bench.trees import compiled_rooms, differing, of_compiled, of_tree, sources
from bench.wrk import Counted, script_for


def names(words: str) -> list[str]:
    return [case.name for case in chosen(words)]


# Which cases


def test_no_two_cases_have_one_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("core", ["core"]),
        ("tls, core ,tls", ["core", "tls"]),
        ("", []),
        ("before", ["before"]),
        ("all", [case.name for case in CASES if case.name != "before"]),
        ("all,before", [case.name for case in CASES]),
    ],
)
def test_cases_are_chosen_by_name_in_the_order_of_the_report(words: str, found: list[str]) -> None:
    assert names(words) == found


def test_a_case_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownCaseError, match=r"unknown: jwts, tsl; known: all, core, "):
        chosen("core,tsl,jwts")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], ["core"]),
        (["--cases", "jwt"], ["jwt"]),
        (["--beside", "HEAD"], ["before"]),
        (["--beside", "HEAD", "--cases", "core"], ["core", "before"]),
    ],
)
def test_the_core_table_is_what_is_measured_unless_another_is_named(
    words: list[str], found: list[str]
) -> None:
    assert [case.name for case in arguments(words).cases] == found


@pytest.mark.parametrize(
    "words",
    [
        ["--cases", "nothing"],
        ["--cases", ","],
        ["--cases", "before"],
        ["--rounds", "0"],
        ["--seconds", "-1"],
        ["--peers", "nginx,apache"],
    ],
)
def test_a_command_line_that_makes_no_sense_is_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(words)
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_rounds_and_lengths_are_those_asked_for_and_parts_left_out_stay_out() -> None:
    assert planned(arguments([])) == WHOLE
    assert planned(arguments(["--quick"])).sizes == QUICK.sizes
    short = planned(arguments(["--rounds", "2", "--seconds", "1"]))
    assert (short.rounds, short.core.saturation, short.core.at_rate) == (2, 1, 1)
    assert (short.case.at_rate, short.latency.saturation) == (0, 0)


def test_no_place_of_this_machine_is_published_with_the_command() -> None:
    words = ["--compiled", f"{ROOT}/build/compiled/env/bin/python", "--quick"]
    told = command_line(words)
    assert told == "python -m bench.run --compiled build/compiled/env/bin/python --quick"


# Interleaved rounds


class Told:
    """Who remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failures: list[str] = []

    def done(self, line: str) -> None:
        """See Told of bench.rounds."""
        self.lines.append(line)

    def failed(self, name: str, why: str) -> None:
        """See Told of bench.rounds."""
        self.failures.append(f"{name} {why}")


def row(name: str, *figures: Figures | Exception) -> Row:
    """A row that yields these, one a round."""
    left = iter(figures)

    def measure() -> Figures:
        found = next(left)
        if isinstance(found, Exception):
            raise found
        return found

    return Row(name, name, measure)


def test_every_row_is_measured_once_a_round_and_each_round_begins_with_another() -> None:
    rows = [row("a"), row("b"), row("c")]
    turns = [(turn, one.name) for turn, one in interleaved(rows, 4)]
    assert ["".join(name for turn, name in turns if turn == n) for n in range(4)] == [
        "abc",
        "bca",
        "cab",
        "abc",
    ]
    assert list(interleaved([], 3)) == []


def test_a_row_that_fails_is_left_out_from_then_on_and_the_others_go_on() -> None:
    told = Told()
    good = row("good", *({"cpu_us": float(n)} for n in range(3)))
    bad = row("bad", {"cpu_us": 1.0}, PeerFailedError("it died"))
    readings = measure_all([good, bad], 3, told)
    assert [(r.row, r.turn) for r in readings] == [("good", 0), ("bad", 0), ("good", 1), ("good", 2)]
    assert told.failures == ["bad from round 2 on: it died"]


# What is asked, and what has to be answered


def test_answers_are_as_long_as_they_are_said_to_be() -> None:
    assert (len(BODY), len(LARGE_BODY)) == (186, 65536)


def test_one_request_is_prepared_once_and_several_are_asked_in_turn() -> None:
    assert 'wrk.path = "/v2/courses/17"' in script_for(Load())
    assert 'wrk.headers["Authorization"] = "Bearer x"' in script_for(
        Load(header="Authorization", credentials=("Bearer x",))
    )
    several = script_for(Load(paths=("/a", "/b"), credentials=("k", "l", "m")))
    assert 'local paths = { "/a", "/b" }' in several
    assert "function request()" in several


@pytest.mark.parametrize(
    ("counted", "load", "good"),
    [
        (Counted(10, 1.0, 5000, 0, 0), Load(), True),
        (Counted(0, 1.0, 0, 0, 0), Load(), False),
        (Counted(10, 1.0, 5000, 1, 0), Load(), False),
        (Counted(10, 1.0, 5000, 0, 1), Load(), False),
        (Counted(10, 1.0, 1859, 0, 0), Load(), False),
        (Counted(10, 1.0, 5000, 0, 0), Load(answer=LARGE_BODY), False),
        (Counted(10, 1.0, 50, 10, 0), Load(status=403), True),
        (Counted(10, 1.0, 50, 9, 0), Load(status=403), False),
    ],
)
def test_answers_under_load_are_of_the_right_kind_and_length_or_nothing_counts(
    counted: Counted,
    load: Load,
    *,
    good: bool,
) -> None:
    assert counted.as_demanded(load) is good


@pytest.mark.parametrize(
    ("checks", "statuses"),
    [
        (Checks.NOTHING, {200}),
        (Checks.DECISION, {200}),
        (Checks.KEY_AND_RULE, {200, 401, 403}),
        (Checks.TOKEN_AND_RULE, {200, 401, 403}),
        (Checks.SCOPES, {200, 401, 403, 404}),
    ],
)
def test_whoever_claims_to_check_has_to_refuse(checks: Checks, statuses: set[int]) -> None:
    assert {claim.status for claim in claims(Load(), checks)} == statuses


def test_no_credential_is_shown_where_a_load_is_printed() -> None:
    load = replace(Load(), credentials=("hush",), wrong="hush")
    assert "hush" not in repr(load)


def test_a_load_has_cores_of_its_own_only_where_there_are_enough() -> None:
    assert cores_for_two((0, 1)) == Cores((0, 1), (0, 1))
    assert cores_for_two((0, 1, 2, 3)) == Cores((0, 3), (1, 2))
    assert not cores_for_two((0, 1)).apart
    assert cores_for_two((0, 1, 2, 3)).apart


# The gateway, laid out


def test_settings_are_put_over_others_section_by_section() -> None:
    tree = {"limits": {"body": 1, "headers": 2}, "workers": 1}
    over = {"limits": {"body": 9}, "cache": {"ttl": "1m"}}
    assert merged(tree, over) == {
        "limits": {"body": 9, "headers": 2},
        "workers": 1,
        "cache": {"ttl": "1m"},
    }
    assert tree["limits"] == {"body": 1, "headers": 2}


@pytest.mark.parametrize("routes", [10, 1000])
def test_a_route_map_has_so_many_routes_and_every_path_that_is_asked(routes: int) -> None:
    lines = route_map(routes).splitlines()
    mapped = {line.partition("path: '")[2].partition("/{id}'")[0] for line in lines}
    assert sum("path:" in line for line in lines) == routes
    asked = paths_over(replace(FEW, routes=routes), 50)
    assert len(set(asked)) == 50
    assert {path.rpartition("/")[0] for path in asked} <= mapped


def test_existing_keys_are_the_same_in_every_run_and_all_different() -> None:
    keys = list(map(existing_key, range(1000)))
    assert len(set(keys)) == 1000
    assert keys == list(map(existing_key, range(1000)))


# Another tree


def test_what_is_neither_a_directory_nor_a_commit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PeerFailedError, match="neither a directory nor a commit"):
        sources("no-such-revision", tmp_path)
    with pytest.raises(PeerFailedError, match="neither"):
        sources("--output=x", tmp_path)


def test_what_is_said_to_be_compiled_has_to_be_and_of_these_sources(tmp_path: Path) -> None:
    """Else the plain gateway, or an old one, would be measured in its place."""
    with pytest.raises(PeerFailedError, match="does not run compiled"):
        of_compiled(Path(sys.executable))
    assert not compiled_rooms(of_tree(_tree(tmp_path / "old", "")))
    assert compiled_rooms(of_tree(_tree(tmp_path / "new", "compiled = ('gateway.pipeline',)")))
    assert differing(tmp_path / "old", tmp_path / "old") == ""
    assert differing(tmp_path / "old", tmp_path / "new") == "gateway/__init__.py"
    assert differing(tmp_path / "old", tmp_path / "nothing") == "gateway/__init__.py"


def _tree(place: Path, text: str) -> Path:
    (place / "gateway").mkdir(parents=True)
    (place / "gateway" / "__init__.py").write_text(text)
    return place


def test_a_program_that_is_given_is_taken_and_one_that_is_missing_told_of(tmp_path: Path) -> None:
    given = gather(("compiled", "no-such-program"), tmp_path, may_install=False, given={"compiled": tmp_path})
    assert given["compiled"] == tmp_path
    assert given.why_not(("compiled", "no-such-program")) == (
        "no-such-program is not here and could not be had (--no-install)"
    )


def test_a_directory_without_a_gateway_is_refused(tmp_path: Path) -> None:
    """Else this tree's own gateway would be measured beside itself."""
    with pytest.raises(PeerFailedError, match="has no package `gateway`"):
        of_tree(tmp_path)


def test_the_gateway_of_a_tree_is_the_one_that_is_run(tmp_path: Path) -> None:
    other = tmp_path / "gateway"
    other.mkdir()
    (other / "__init__.py").write_text("")
    (other / "__main__.py").write_text("print('the other')")
    program = of_tree(tmp_path)
    done = subprocess.run(
        program.argv,
        env={**os.environ, **program.environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.strip() == "the other"
