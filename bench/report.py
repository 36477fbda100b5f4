"""Runs as Markdown, to be read in a terminal and put into the documentation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.readings import Column, Spread, Way
from bench.results import Described, Measured, Results
from bench.targets import Target, verdicts

BEGIN: Final = "<!-- bench: what is between these two lines is written by bench/run.py --write-docs -->"
END: Final = "<!-- bench: end -->"
NOTICEABLE: Final = 0.03
"""The share of a row's cores that strangers may have before the reader is warned."""

SATURATED: Final = 0.95
"""Below this use of its cores a row could have taken more than the load gave it."""


def markdown(results: Results) -> str:
    """The whole report."""
    parts = [part for case in results.cases for part in _case(case)]
    parts += [_occasions(results), _targets(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def into_document(file: Path, report: str) -> None:
    """Replace what stands between the markers. Raises ValueError if they are not both there."""
    before, begin, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} lacks the two marker lines that the report goes between")
    file.write_text(f"{before}{BEGIN}\n\n{report}\n{END}{after}", encoding="utf-8")


def shown(spread: Spread | None, places: int) -> str:
    """A median with its spread; nothing of nothing."""
    if spread is None:
        return ""
    middle, least, most = (f"{value:,.{places}f}" for value in (spread.middle, spread.least, spread.most))
    return middle if least == most else f"{middle} [{least}, {most}]"


def _case(case: Measured) -> Iterator[str]:
    """A heading, a table, and what is to be known of it."""
    yield f"### {case.title}"
    if case.about:
        yield case.about
    yield _table(case)
    yield "\n".join(f"- {note}" for note in _notes(case))


def _table(case: Measured) -> str:
    """The rows, the cheapest first where they are compared with one of them all, else in their own order."""
    rows = [row for row in case.rows if case.has(row.name)]
    columns = [column for column in case.columns if not column.beside or case.has(column.beside)]
    if any(column.way is Way.INVERSE for column in columns):
        rows.sort(key=lambda row: _cost(case, row))
    checks = any(row.checks for row in rows) and len({row.checks for row in rows}) > 1
    words = ["", *(["checks"] if checks else []), *(column.heading for column in columns)]
    rules = ["---", *(["---"] if checks else []), *("---:" for _ in columns)]
    lines = [_line(words), _line(rules)]
    for row in rows:
        cells = [_cell(case, row, column) for column in columns]
        lines.append(_line([row.title, *([row.checks] if checks else []), *cells]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cost(case: Measured, row: Described) -> float:
    """What rows are put in order by; the one with nothing between comes last."""
    spread = case.spread(row.name, "cpu_us")
    return spread.middle if spread and spread.middle else float("inf")


def _cell(case: Measured, row: Described, column: Column) -> str:
    """A cell; a rate is only the least there is where the row had some of its cores to spare."""
    if column.measure == "cpu_us" and _cost(case, row) == float("inf"):
        return ""
    if column.way is Way.ADDED and row.name == column.beside:
        return f"took {shown(case.spread(row.name, column.measure), column.places)}"
    text = shown(case.cell(row, column), column.places)
    used = case.spread(row.name, "used")
    spare = column.measure == "per_second" and column.way is Way.PLAIN and used and used.middle < SATURATED
    return f"≥ {text}" if text and spare and used and used.middle else text


def _notes(case: Measured) -> Iterator[str]:
    """How to read the table, and what is to be known about this run."""
    turns = f"{case.rounds} interleaved round{'s' if case.rounds != 1 else ''}"
    yield f"Medians of {turns}, [least, most]; what compares two rows is taken round by round."
    if beside := _beside(case):
        yield f"Beside: {beside}."
    versions = dict.fromkeys(row.version for row in case.rows if row.version)
    if versions:
        yield f"Versions: {', '.join(versions)}."
    yield from _logging(case)
    yield from _doubts(case)
    yield from (f"Left out: {line}" for line in case.left_out)


def _beside(case: Measured) -> str:
    """The row that others are compared with; where there are several, the case itself tells which."""
    titles = {row.name: row.title for row in case.rows}
    beside = {titles.get(row.beside, row.beside) for row in case.rows if row.beside}
    return beside.pop() if len(beside) == 1 else ""


def _logging(case: Measured) -> Iterator[str]:
    """Who logs what."""
    logs: dict[str, list[str]] = {}
    for row in case.rows:
        if row.logs and case.has(row.name):
            logs.setdefault(row.logs, []).append(row.title)
    for what, titles in logs.items():
        yield f"Access log, {what}: {', '.join(titles)}."


def _doubts(case: Measured) -> Iterator[str]:
    """What a reader must know before believing the figures."""
    for measure, sentence in (
        ("others", "Other programs took {share:.0%} of the cores of what was measured: no machine at rest."),
        ("stolen", "The hypervisor withheld {share:.0%} of the cores of what was measured."),
    ):
        found = Spread.of([r.figures[measure] for r in case.readings if measure in r.figures])
        if found and found.middle > NOTICEABLE:
            yield sentence.format(share=found.middle)
    for row in case.rows:
        late, took = case.spread(row.name, "late_p99"), case.spread(row.name, "p99")
        if late and took and late.middle > took.middle / 2:
            yield f"{row.title}: of its p99, {late.middle:,.0f} µs are the client's own lateness."
        logged = case.spread(row.name, "logged")
        if logged and logged.least < 1 - NOTICEABLE:
            yield f"{row.title} logged only {logged.least:.0%} of its requests."


def _occasions(results: Results) -> str:
    """When, where and how each case was measured."""
    cases: dict[str, list[str]] = {}
    for case in results.cases:
        occasion, machine = case.occasion, case.occasion.machine
        told = (
            f"with `{occasion.command}` on {occasion.date}, on {machine.cpu}, {machine.cores} cores,"
            f" {machine.memory_gib:g} GiB, Linux {machine.kernel}, {machine.system}, Python {machine.python}"
        )
        cases.setdefault(told, []).append(case.title)
    return "\n".join(f"Measured {told}: {'; '.join(titles)}." for told, titles in cases.items())


def _targets(results: Results) -> str:
    found = list(verdicts(results))
    if not found:
        return ""
    both = any(verdict.compiled is not None for verdict in found)
    words, rules = ["target", "limit", "measured", ""], ["---", "---:", "---:", "---"]
    if both:
        words, rules = [*words, "compiled", ""], [*rules, "---:", "---"]
    lines = ["### Targets", "", _line(words), _line(rules)]
    for target, figure, compiled in found:
        cells = [target.what, _limit(target), *_judged(target, figure)]
        lines.append(_line([*cells, *_judged(target, compiled)] if both else cells))
    return "\n".join(lines)


def _limit(target: Target) -> str:
    """What a target demands, for people."""
    if target.limit is None:
        return ""
    return f"{'≥' if target.least else '≤'} {target.limit:g} {target.unit}".rstrip()


def _judged(target: Target, figure: float | None) -> tuple[str, str]:
    """A figure, and whether it meets its target."""
    if figure is None:
        return "", ""
    told = f"{figure:,.2f} {target.unit}".rstrip()
    if target.limit is None:
        return told, "stated"
    return told, "met" if target.met_by(figure) else "**not met**"
