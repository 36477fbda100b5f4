"""One picture of the core table: CPU a request of every peer, the cheapest on top, the spread a whisker.

Those that check nothing are pale.
"""

from html import escape
from typing import Final

from bench.peer import GATEWAY, GATEWAY_COMPILED, Checks
from bench.readings import Spread
from bench.results import Described, Measured

WIDTH: Final = 860
LABELS: Final = 330
ROW: Final = 30
TOP: Final = 58
LEGEND: Final = "pale: checks nothing"
STYLE: Final = """\
text{font:13px system-ui,sans-serif;fill:#1f2933}.title{font-size:16px;font-weight:600}.note{fill:#52606d}
.bar{fill:#829ab1}.bare{fill:#d3dce6}.own{fill:#2f6fde}.whisker{stroke:#102a43;stroke-width:1.5}
@media(prefers-color-scheme:dark){text{fill:#e4e7eb}.note{fill:#9aa5b1}.whisker{stroke:#f5f7fa}.bar{fill:#627d98}.bare{fill:#334e68}}"""


def draw(core: Measured) -> str:
    """The picture as SVG; rows that used no CPU of their own have no bar."""
    costs = [
        (row, cost)
        for row in core.rows
        if (cost := core.spread(row.name, "cpu_us")) is not None and cost.middle
    ]
    costs.sort(key=lambda bar: bar[1].middle)
    scale = (WIDTH - LABELS - 80) / max((cost.most for _, cost in costs), default=1.0)
    height = TOP + ROW * len(costs) + 14
    bars = [_bar(row, cost, TOP + ROW * at, scale) for at, (row, cost) in enumerate(costs)]
    spread = f"medians of {core.rounds}, least to most"
    note = escape(", ".join([core.occasion.date, core.occasion.machine.cpu, f"{spread}; {LEGEND}"]))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
            '  aria-label="CPU microseconds a request of the gateway and its peers">',
            f"<style>{STYLE}</style>",
            '<text class="title" x="12" y="24">CPU µs a request, all processes of each together</text>',
            f'<text class="note" x="12" y="44">{note}</text>',
            *bars,
            "</svg>\n",
        ]
    )


def _kind(row: Described) -> str:
    """How a bar is filled: ours, one that checks something, or one that only forwards."""
    if row.name in {GATEWAY, GATEWAY_COMPILED}:
        return "own"
    return "bare" if row.checks == Checks.NOTHING else "bar"


def _bar(row: Described, cost: Spread, y: int, scale: float) -> str:
    label = escape(row.title.replace("*", "").replace("`", ""))
    middle = y + ROW // 2
    least, most = LABELS + cost.least * scale, LABELS + cost.most * scale
    kind = _kind(row)
    return (
        f'<text x="{LABELS - 10}" y="{middle + 4}" text-anchor="end">{label}</text>'
        f'<rect class="{kind}" x="{LABELS}" y="{y + 4}" rx="2"'
        f' width="{cost.middle * scale:.1f}" height="{ROW - 8}"/>'
        f'<path class="whisker" d="M{least:.1f} {middle}H{most:.1f}"/>'
        f'<text x="{most + 8:.1f}" y="{middle + 4}">{cost.middle:.1f}</text>'
    )
