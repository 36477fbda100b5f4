"""From samples to the table, the picture and the documentation, and back from the samples' file."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.case import COMPILED_OVER_IT, COST, GATEWAY_OVER_IT, RATE
from bench.machine import Machine
from bench.picture import draw
from bench.readings import Column, Reading, Way
from bench.report import BEGIN, END, into_document, markdown
from bench.results import Described, Measured, Occasion, Results
from bench.run import DOCUMENT
from bench.targets import TARGETS, Target, verdicts

MACHINE = Machine("a <processor> & more", 2, 4.0, "6.1", "Debian", "3.11")
OCCASION = Occasion("2026-01-01 00:00 UTC", "python -m bench.run", MACHINE)
ADDED = Column("p50 added µs", "p50", 0, Way.ADDED, "direct")
ROWS = (
    Described("direct", "direct, nothing between"),
    Described("gateway", "**Scopegate**", checks="key", logs="a line", version="Scopegate 1"),
    Described("nginx", "nginx `x` <& forwarding", checks="nothing", logs="a line", version="nginx 1"),
)


def sample(row: str, turn: int, cpu_us: float, p50: float, used: float = 1.0) -> Reading:
    return Reading(row, turn, {"cpu_us": cpu_us, "per_second": 1000.0, "p50": p50, "used": used})


CORE = Measured(
    "core",
    "The gateway and its peers",
    "",
    OCCASION,
    (COST, GATEWAY_OVER_IT, RATE, ADDED),
    ROWS,
    [
        *(sample("direct", turn, 0.0, 100.0, 0.0) for turn in (0, 1)),
        *(sample("gateway", turn, cost, 250.0) for turn, cost in enumerate((40.0, 44.0))),
        *(sample("nginx", turn, cost, 180.0, 0.5) for turn, cost in enumerate((20.0, 20.0))),
    ],
)
RESULTS = Results((CORE,))


def test_the_samples_file_holds_all_that_the_report_takes(tmp_path: Path) -> None:
    file = tmp_path / "samples.json"
    RESULTS.write(file)
    assert Results.read(file) == RESULTS
    assert markdown(Results.read(file)) == markdown(RESULTS)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cases": [{}]}', '{"cases": 1}', "no JSON"])
def test_a_file_that_holds_no_samples_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "samples.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="does not hold the samples of a run"):
        Results.read(file)


def test_runs_are_joined_and_the_later_one_of_a_case_counts() -> None:
    later = replace(CORE, title="Later")
    other = replace(CORE, name="tls", title="TLS")
    joined = Results.joined([RESULTS, Results((other,)), Results((later,))])
    assert [(case.name, case.title) for case in joined.cases] == [("core", "Later"), ("tls", "TLS")]


def test_the_table_has_the_cheapest_first_and_what_compares_in_its_columns() -> None:
    lines = [line for line in markdown(RESULTS).splitlines() if line.startswith("| ")]
    assert lines[2:5] == [
        "| nginx `x` <& forwarding | nothing | 20.0 | 2.10 [2.00, 2.20] | ≥ 1,000 | 80 |",
        "| **Scopegate** | key | 42.0 [40.0, 44.0] | 1.00 | 1,000 | 150 |",
        "| direct, nothing between |  |  |  | 1,000 | took 100 |",
    ]


def test_every_line_of_a_table_has_as_many_cells_as_its_heading() -> None:
    lines = [line for line in markdown(RESULTS).splitlines() if line.startswith("| ")]
    assert len({line.count("|") for line in lines[:5]}) == 1


def test_a_row_that_was_never_measured_has_no_line() -> None:
    lost = replace(CORE, rows=(*ROWS, Described("gone", "gone")), left_out=["gone: it would not start"])
    report = markdown(Results((lost,)))
    assert "| gone" not in report
    assert "- Left out: gone: it would not start" in report


def test_a_reader_is_warned_of_a_machine_that_was_not_at_rest() -> None:
    busy = [Reading(r.row, r.turn, {**r.figures, "others": 0.2}) for r in CORE.readings]
    assert "Other programs took 20%" in markdown(Results((replace(CORE, readings=busy),)))
    assert "Other programs" not in markdown(RESULTS)


def test_writing_the_documentation_twice_changes_nothing_and_keeps_what_is_around(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    file.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    into_document(file, markdown(RESULTS))
    once = file.read_text()
    into_document(file, markdown(RESULTS))
    assert file.read_text() == once
    assert once.startswith(f"before\n\n{BEGIN}\n")
    assert once.endswith(f"{END}\n\nafter\n")
    assert "old" not in once


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_a_document_without_both_markers_in_order_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "performance.md"
    file.write_text(text)
    with pytest.raises(ValueError, match="lacks the two marker lines"):
        into_document(file, "report")
    assert file.read_text() == text


def test_the_documentation_has_its_markers() -> None:
    text = DOCUMENT.read_text()
    assert text.count(BEGIN) == text.count(END) == 1


def test_the_picture_is_well_formed_and_has_a_bar_for_each_row_that_used_the_processor() -> None:
    tree = ET.fromstring(draw(CORE))  # noqa: S314 - the document is our own
    svg = "{http://www.w3.org/2000/svg}"
    assert tree.tag == f"{svg}svg"
    bars = tree.findall(f"{svg}rect")
    assert [bar.get("class") for bar in bars] == ["bare", "own"]
    widths = [float(bar.get("width") or 0) for bar in bars]
    assert widths[1] / widths[0] == pytest.approx(42 / 20, abs=0.01)
    labels = [text.text for text in tree.findall(f"{svg}text")]
    assert "nginx x <& forwarding" in labels


def test_a_picture_of_nothing_is_well_formed_too() -> None:
    ET.fromstring(draw(replace(CORE, readings=[])))  # noqa: S314 - the document is our own


def test_a_target_is_met_on_its_own_side_of_the_limit_alone() -> None:
    most = Target("most", 1.0, lambda _: None)
    least = Target("least", 1.0, lambda _: None, least=True)
    table = [(most, 0.9, True), (most, 1.0, True), (most, 1.1, False)]
    table += [(least, 0.9, False), (least, 1.0, True), (least, 1.1, True)]
    assert [(target, figure, target.met_by(figure)) for target, figure, _ in table] == table


def test_a_target_without_a_limit_is_only_told() -> None:
    told = Target("memory", None, lambda _: 1.0, "MiB")
    assert told.met_by(1e9)
    held = _beside("memory", "", ("gateway at rest", {"worker_mib": 41.25}))
    assert "| memory of a worker at rest |  | 41.25 MiB | stated |" in markdown(held)


def test_the_compiled_gateway_is_judged_beside_the_plain_one_where_it_was_measured() -> None:
    """And it is not given a column where it was not."""
    line = "| CPU a request beside nginx forwarding only | ≤ 2.2 | 2.10 | met |"
    assert line in markdown(RESULTS)
    assert "compiled" not in markdown(RESULTS)
    faster = [sample("gateway-compiled", turn, 30.0, 200.0) for turn in (0, 1)]
    row = Described("gateway-compiled", "**Scopegate**, compiled", checks="key")
    both = replace(CORE, rows=(*ROWS, row), readings=[*CORE.readings, *faster])
    report = markdown(Results((replace(both, columns=(COST, GATEWAY_OVER_IT, COMPILED_OVER_IT)),)))
    assert f"{line} 1.50 | met |" in report
    assert "| gateway ÷ it | compiled ÷ it |" in report
    assert "| **Scopegate**, compiled | key | 30.0 | 1.40 [1.33, 1.47] | 1.00 |" in report
    own = [bar for bar in ET.fromstring(draw(both)).iter() if bar.get("class") == "own"]  # noqa: S314 - the document is our own
    assert len(own) == 2


@pytest.mark.parametrize(("others", "judged"), [({"others": 0.01}, True), ({}, False)])
def test_what_two_workers_bring_is_judged_only_where_the_load_had_cores_of_its_own(
    others: dict[str, float], *, judged: bool
) -> None:
    results = _beside(
        *("workers", "1 worker"),
        ("1 worker", {"per_second": 100.0, "cpu_us": 10.0, **others}),
        ("2 workers", {"per_second": 170.0, "cpu_us": 10.2, **others}),
    )
    told = {verdict.target.what: verdict for verdict in verdicts(results)}
    assert told["CPU a request, two workers over one"].figure == pytest.approx(1.02)
    assert any(what.startswith("requests a second of two workers") for what in told) is judged


def test_only_targets_with_a_figure_are_judged() -> None:
    assert list(verdicts(Results(()))) == []
    judged = {verdict.target.what: verdict.figure for verdict in verdicts(RESULTS)}
    assert judged == {
        "CPU a request beside nginx forwarding only": pytest.approx(2.1),
        "CPU a request beside nginx forwarding only, stretch": pytest.approx(2.1),
    }


def _beside(case: str, beside: str, *rows: tuple[str, dict[str, float]]) -> Results:
    """A case of one round, all rows beside the first."""
    described = tuple(Described(name, name, "" if name == beside else beside) for name, _ in rows)
    readings = [Reading(name, 0, figures) for name, figures in rows]
    return Results((Measured(case, case, "", OCCASION, (COST,), described, readings),))


@pytest.mark.parametrize(
    ("results", "what", "figure"),
    [
        (
            _beside(
                *("keys", "10 keys"),
                ("10 keys", {"cpu_us": 40.0}),
                ("100 keys", {"cpu_us": 44.0}),
                ("1,000 keys", {"cpu_us": 42.0}),
            ),
            "CPU a request, many keys over few, the worst",
            1.1,
        ),
        (
            _beside("jwt", "key", ("key", {"cpu_us": 40.0}), ("jwt", {"cpu_us": 42.0})),
            "CPU a request with a remembered JWT, over an API key",
            1.05,
        ),
        (
            _beside(
                *("refusals", "permitted"),
                ("permitted", {"per_second": 100.0}),
                ("out of scope", {"per_second": 160.0}),
            ),
            "refusals (scope) a second over permitted requests",
            1.6,
        ),
        (
            _beside(
                *("bodies", "nginx: 1 of 1 GiB up"),
                ("nginx: 1 of 1 GiB up", {"mib_per_second": 1000.0}),
                ("gateway: 1 of 1 GiB up", {"mib_per_second": 700.0}),
                ("gateway: 9 of 1 MiB up", {"mib_per_second": 100.0}),
            ),
            "throughput of a 1 GiB body over nginx forwarding, the worse way",
            0.7,
        ),
        (
            _beside(
                *("before", "permitted, before"),
                ("permitted, before", {"cpu_us": 40.0}),
                ("permitted, now", {"cpu_us": 41.0}),
            ),
            "CPU a request now over before, the worst",
            1.025,
        ),
        (_beside("start", "", ("10,000 routes", {"ready_ms": 900.0})), TARGETS[-2].what, 900.0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_target_reads_the_figure_that_it_names(results: Results, what: str, figure: float) -> None:
    judged = {verdict.target.what: verdict.figure for verdict in verdicts(results)}
    assert judged[what] == pytest.approx(figure)


@pytest.mark.parametrize(("late", "told"), [(400.0, True), (100.0, False)])
def test_a_client_that_was_late_itself_is_told_of(late: float, *, told: bool) -> None:
    figures = {"p99": 500.0, "late_p99": late}
    case = replace(CORE, readings=[Reading("gateway", 0, figures)])
    line = "- **Scopegate**: of its p99, 400 µs are the client's own lateness."
    assert (line in markdown(Results((case,)))) is told
