"""`gateway explain`: what would become of a request, why, and the smallest change that flips it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import session
from gateway.cli.output import DONE, REFUSED, json_option, say, show_fields, show_json, show_table
from gateway.cli.session import Missing
from gateway.domain.permit import Permit
from gateway.domain.target import Target

if TYPE_CHECKING:
    from gateway.control.explain import Trace
    from gateway.control.way import Way


@click.command()
@click.option("--key-id", type=click.IntRange(min=1), required=True, help="The key that would ask.")
@click.option("--host", default="", help="The Host it would name, where feeds are told apart by host.")
@click.argument("method")
@click.argument("path")
@json_option
@click.pass_obj
def explain(  # noqa: PLR0913 - an argument an option
    config: Path, *, key_id: int, host: str, method: str, path: str, as_json: bool
) -> None:
    """Trace a request with a key, without its secret; exit 0 when it would be permitted, 1 when refused."""
    from gateway.control.explain import Question, explain_key  # noqa: PLC0415 - `--help` needs no store

    url, routes, relaxed = session.store_and_routes_of(config)
    question = Question(method, session.path_of(path), host)
    trace = session.in_store(
        url, lambda store: explain_key(store, routes, relaxed, key_id, question), Missing.REFUSE
    )
    if as_json:
        show_json(described(trace))
    else:
        _tell(trace)
    raise SystemExit(DONE if trace.permitted else REFUSED)


def described(trace: "Trace") -> dict[str, Any]:
    """The trace for programs."""
    place, record = trace.place, trace.entry.record
    target = place if isinstance(place, Target) else None
    route = None if place is None else place.route
    feed = None if place is None else place.feed
    action = None if target is None or target.action is None else target.action.word
    return {
        "permitted": trace.permitted,
        **_verdict(trace),
        "method": trace.method,
        "path": trace.asked_path,
        "canonical_path": trace.canonical_path,
        "feed": None if feed is None else feed.name,
        "feed_enabled": None if feed is None else feed.enabled,
        "enforcement": None if feed is None else feed.enforcement,
        "route": None if route is None else route.template,
        "where": None if route is None else route.where,
        "public": route is not None and route.public,
        "module": trace.module,
        "action": action,
        "key": {
            "id": record.id,
            "label": record.label,
            "state": record.state,
            "expires_at": session.moment(record.expires_at),
            "accepted": trace.credential is None,
            "why_not": None if trace.credential is None else trace.credential.detail,
        },
        "votes": [_vote(ballot) for ballot in trace.votes],
        "deciding_scope": trace.deciding,
        "trial_votes": None if record.trial is None else [_vote(ballot) for ballot in trace.trial_votes],
        "changes": [_change(way) for way in trace.ways],
    }


def _verdict(trace: "Trace") -> dict[str, object]:
    """The answer: what a refused client would be told, or what a permit records."""
    verdict = trace.verdict
    if isinstance(verdict, Permit):
        return {"status": None, "code": None, "detail": None, "would_deny": verdict.would_deny}
    answer = verdict.answer
    return {
        "status": answer.status,
        "code": verdict.reason,
        "detail": verdict.detail or answer.detail,
        "would_deny": None,
    }


def _vote(ballot: Any) -> dict[str, object]:  # noqa: ANN401 - decision's Ballot, not imported for --help
    scope = ballot.scope
    return {"scope": scope.name, "id": scope.id, "mode": scope.mode, "vote": ballot.vote}


def _change(way: "Way") -> dict[str, object]:
    return {
        "steps": way.sentences,
        "commands": way.commands,
        "pairs_gained": way.gained,
        "pairs_lost": way.lost,
        "also": way.also,
        "shared": way.shared,
    }


def _tell(trace: "Trace") -> None:
    """The trace for people, in the order in which the gateway judges."""
    whole = described(trace)
    key = whole["key"]
    accepted = "accepted" if key["accepted"] else f"refused: {key['why_not']}"
    show_fields(
        {
            "request": f"{trace.method} {trace.asked_path}",
            "canonical": whole["canonical_path"],
            "feed": _feed(whole),
            "route": whole["route"] and f"{whole['route']} ({whole['where']})",
            "module": whole["module"],
            "action": whole["action"],
            "key": f"{key['id']} ({key['label']}), {accepted}",
        }
    )
    say("")
    if trace.votes or trace.trial_votes:
        rows = [
            [b.scope.name, b.scope.mode, b.vote, b.scope.name == trace.deciding, False] for b in trace.votes
        ]
        rows += [[b.scope.name, b.scope.mode, b.vote, False, True] for b in trace.trial_votes]
        show_table(["scope", "mode", "vote", "decides", "trial"], rows)
        say("")
    say(_answer(whole))
    for number, way in enumerate(trace.ways):
        say("")
        say("Smallest change that flips it:" if number == 0 else "Or:")
        for line in (*way.sentences, *way.also, *way.shared):
            say(f"  {line}")
        for command in way.commands:
            say(f"    {command}")


def _feed(whole: dict[str, Any]) -> str | None:
    if whole["feed"] is None:
        return None
    return f"{whole['feed']} ({'enabled' if whole['feed_enabled'] else 'disabled'}, {whole['enforcement']})"


def _answer(whole: dict[str, Any]) -> str:
    if not whole["permitted"]:
        return f"REFUSED {whole['status']} {whole['code']}: {whole['detail']}"
    if whole["would_deny"] is None:
        return "PERMITTED"
    return f"PERMITTED, and recorded as would_deny {whole['would_deny']}"
