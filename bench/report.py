"""A run as Markdown, to be read in a terminal and pasted into the documentation."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from results import DIRECT, Results, Spread
from targets import verdicts
from transfer import MIB

COLUMNS: Final = (
    "checks",
    "CPU µs a request",
    "gateway ÷ it",
    "requests/s",
    "p50 added µs",
    "p99 added µs",
    "memory MiB",
    "ready in ms",
)
BEGIN: Final = "<!-- bench: what is between these two lines is written by bench/run.py --write-docs -->"
END: Final = "<!-- bench: end -->"
NOTICEABLE: Final = 0.03
"""The share of the peer's core that strangers may have before the reader is warned."""

SATURATED: Final = 0.95
"""Below this use of its core a peer could have taken more than the load gave it."""


def markdown(results: Results) -> str:
    """The whole report."""
    parts = [_heading(results), _peers(results), _notes(results)]
    if results.cases:
        parts.append(_cases(results))
    if results.transfers:
        parts.append(_transfers(results))
    parts.append(_targets(results))
    return "\n\n".join(part for part in parts if part) + "\n"


def into_document(file: Path, report: str) -> None:
    """Replace what stands between the markers. Raises ValueError if they are not both there."""
    before, begin, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} lacks the two marker lines that the report goes between")
    file.write_text(f"{before}{BEGIN}\n\n{report}\n{END}{after}", encoding="utf-8")


def _heading(results: Results) -> str:
    machine = results.machine
    return (
        f"Measured on {results.date} with `{results.command}` on {machine.cpu}, {machine.cores} cores,"
        f" {machine.memory_gib:g} GiB, Linux {machine.kernel}, {machine.system}, Python {machine.python}."
    )


def _peers(results: Results) -> str:
    """The peers side by side, the cheapest first."""
    rows = [
        f"| | {' | '.join(COLUMNS)} |",
        f"| --- | --- {'| ---: ' * (len(COLUMNS) - 1)}|",
    ]
    costs = {name: results.cost(name) for name in results.peers}
    measured = {name: cost.middle for name, cost in costs.items() if cost}
    rows += [_row(results, name) for name in sorted(measured, key=measured.__getitem__)]
    rows += _direct(results)
    return "\n".join(rows)


def _row(results: Results, name: str) -> str:
    peer, samples = results.peers[name], results.of(name)
    rate = median(s.saturated.per_second for s in samples)
    full = median(s.saturated.used for s in samples) >= SATURATED
    cells = [
        peer.title,
        peer.checks,
        _spread(results.cost(name), 1),
        _spread(results.ratio(name), 2),
        f"{'' if full else '≥ '}{rate:,.0f}",
        _spread(results.added(name, "p50"), 0),
        _spread(results.added(name, "p99"), 0),
        f"{median(s.proportional for s in samples) / MIB:.0f}",
        f"{median(s.ready_seconds for s in samples) * 1000:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _direct(results: Results) -> Iterator[str]:
    """What the load and the feed can do with nothing between them."""
    samples = results.of(DIRECT)
    if samples:
        rate = median(s.saturated.per_second for s in samples)
        calls = [s.at_rate for s in samples if s.at_rate]
        took = (
            f"took {median(c.p50 for c in calls):.0f} | took {median(c.p99 for c in calls):.0f}"
            if calls
            else "| "
        )
        yield f"| direct, nothing between | | | | {rate:,.0f} | {took} | | |"


def _notes(results: Results) -> str:
    """How to read the table, and what is to be known about this run."""
    rounds = max((sample.turn for sample in results.samples), default=0) + 1
    turns = f"{rounds} interleaved round{'s' if rounds > 1 else ''}"
    lines = [f"- Medians of {turns}, [least, most]; ratios and added latencies are taken round by round."]
    lines += [f"- Versions: {', '.join(dict.fromkeys(peer.version for peer in results.peers.values()))}."]
    lines += [f"- {line}" for line in _logging(results)]
    lines += [f"- {line}" for line in _doubts(results)]
    lines += [f"- Left out: {line}" for line in results.left_out]
    return "\n".join(lines)


def _logging(results: Results) -> Iterator[str]:
    """Who logs what."""
    logs: dict[str, list[str]] = {}
    for name, peer in results.peers.items():
        if results.of(name):
            logs.setdefault(peer.logs, []).append(peer.title)
    for what, titles in logs.items():
        yield f"Access log, {what}: {', '.join(titles)}."


def _doubts(results: Results) -> Iterator[str]:
    """What a reader must know before believing the figures."""
    if results.strangers > NOTICEABLE:
        yield f"Other programs took {results.strangers:.0%} of the peers' core: the machine was not at rest."
    stolen = Spread.of([sample.saturated.stolen for sample in results.samples])
    if stolen and stolen.middle > NOTICEABLE:
        yield f"The hypervisor withheld {stolen.middle:.0%} of the peers' core."
    for name, peer in results.peers.items():
        logged = [sample.logged for sample in results.of(name) if sample.logged is not None]
        if logged and min(logged) < 1 - NOTICEABLE:
            yield f"{peer.title} logged only {min(logged):.0%} of its requests."


def _cases(results: Results) -> str:
    rows = [
        "| the gateway, asked otherwise | CPU µs a request | beside | requests/s |",
        "| --- | ---: | ---: | ---: |",
    ]
    before = ""
    for name in dict.fromkeys(sample.name for sample in results.cases):
        kind = name.rpartition(" ")[2]
        beside = before if before.endswith(f" {kind}") else "permitted"
        ratio = "" if name == "permitted" else f"{_spread(results.case_ratio(name, beside), 2)} of {beside}"
        rate = median(s.saturated.per_second for s in results.cases if s.name == name)
        rows.append(f"| {name} | {_spread(results.case_cost(name), 1)} | {ratio} | {rate:,.0f} |")
        before = name
    return "\n".join(rows)


def _transfers(results: Results) -> str:
    rows = ["| bodies through | what | MiB/s | memory grows by MiB |", "| --- | --- | ---: | ---: |"]
    kinds = dict.fromkeys((t.size, t.direction, t.name, t.times) for t in results.transfers)
    for size, direction, name, times in sorted(kinds):
        found = [t for t in results.transfers if (t.size, t.direction, t.name) == (size, direction, name)]
        rate = Spread.of([t.mib_per_second for t in found])
        growth = Spread.of([t.growth / MIB for t in found])
        what = f"{times} of {size // MIB} MiB, {direction}"
        rows.append(f"| {results.peers[name].title} | {what} | {_spread(rate, 0)} | {_spread(growth, 1)} |")
    return "\n".join(rows)


def _targets(results: Results) -> str:
    found = list(verdicts(results))
    if not found:
        return ""
    rows = ["| target | limit | measured | |", "| --- | ---: | ---: | --- |"]
    for verdict in found:
        target = verdict.target
        limit = f"{'≥' if target.least else '≤'} {target.limit:g} {target.unit}"
        met = "met" if verdict.met else "**not met**"
        rows.append(f"| {target.what} | {limit} | {verdict.figure:.2f} {target.unit} | {met} |")
    return "\n".join(rows)


def _spread(spread: Spread | None, places: int) -> str:
    if spread is None:
        return ""
    middle, least, most = (f"{value:,.{places}f}" for value in (spread.middle, spread.least, spread.most))
    return middle if least == most else f"{middle} [{least}, {most}]"
