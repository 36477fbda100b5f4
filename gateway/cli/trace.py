"""The trace of a request, for people and for programs."""

from typing import TYPE_CHECKING, Any

from gateway.cli import session
from gateway.cli.output import say, show_fields, show_table
from gateway.domain.permit import Permit
from gateway.domain.target import Target

if TYPE_CHECKING:
    from gateway.control.asking_bearer import AskingBearer
    from gateway.control.asking_key import AskingKey
    from gateway.control.explain import Trace
    from gateway.control.way import Way


def described(trace: "Trace") -> dict[str, Any]:
    """The trace for programs: the request, who asks, and the rest in the order in which it is judged."""
    from gateway.control.asking_key import AskingKey  # noqa: PLC0415 - `--help` needs no store

    place, asker = trace.place, trace.asker
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
        "key": _key(trace, asker) if isinstance(asker, AskingKey) else None,
        "bearer": None if isinstance(asker, AskingKey) else _bearer(asker),
        "votes": _votes(trace),
        "deciding_scope": trace.deciding[0] if trace.deciding else None,
        "trial_votes": _trial_votes(trace, asker) if isinstance(asker, AskingKey) else None,
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


def _key(trace: "Trace", asker: "AskingKey") -> dict[str, object]:
    record = asker.entry.record
    return {
        "id": record.id,
        "label": record.label,
        "state": record.state,
        "expires_at": session.moment(record.expires_at),
        "accepted": trace.credential is None,
        "why_not": None if trace.credential is None else trace.credential.detail,
    }


def _bearer(asker: "AskingBearer") -> dict[str, object]:
    """The bearer; one without a name is whoever has the roles."""
    facts = asker.facts
    known = {scope.name for scope in asker.token_scopes}
    return {
        "kind": facts.kind,
        "name": facts.name or None,
        "roles": facts.roles,
        "issuer": facts.issuer or None,
        "scopes_from": facts.scopes_from,
        "token_scopes": facts.scopes,
        "no_scopes": [name for name in facts.scopes if name not in known],
    }


def _votes(trace: "Trace") -> list[dict[str, object]]:
    """Every scope's vote; a bearer's with where it has the scope from, and whether it decides."""
    from gateway.control.asking_key import AskingKey  # noqa: PLC0415 - `--help` needs no store

    if isinstance(trace.asker, AskingKey):
        return [_vote(ballot) for votes in trace.votes for ballot in votes]
    return [
        {
            **_vote(ballot),
            "from": trace.asker.sources(ballot.scope, side),
            "decides": ballot.scope.name in trace.deciding,
        }
        for side, votes in zip(trace.asker.sides, trace.votes, strict=False)
        for ballot in votes
    ]


def _trial_votes(trace: "Trace", asker: "AskingKey") -> list[dict[str, object]] | None:
    return None if asker.entry.record.trial is None else [_vote(ballot) for ballot in trace.trial_votes]


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


def tell(trace: "Trace") -> None:
    """The trace for people, in the order in which the gateway judges."""
    whole = described(trace)
    show_fields(
        {
            "request": f"{trace.method} {trace.asked_path}",
            "canonical": whole["canonical_path"],
            "feed": _feed(whole),
            "route": whole["route"] and f"{whole['route']} ({whole['where']})",
            "module": whole["module"],
            "action": whole["action"],
            **(_bearer_fields(whole["bearer"]) if whole["key"] is None else _key_field(whole["key"])),
        }
    )
    say("")
    if whole["votes"] or whole["trial_votes"]:
        _table(whole)
        say("")
    say(_answer(whole))
    for number, way in enumerate(trace.ways):
        say("")
        say("Smallest change that flips it:" if number == 0 else "Or:")
        for line in (*way.sentences, *way.also, *way.shared):
            say(f"  {line}")
        for command in way.commands:
            say(f"    {command}")


def _table(whole: dict[str, Any]) -> None:
    """The votes, with what only keys or only bearers have in the last column."""
    if whole["key"] is None:
        rows = [[*_cells(vote), vote["decides"], vote["from"]] for vote in whole["votes"]]
        show_table(["scope", "mode", "vote", "decides", "from"], rows)
        return
    decides = whole["deciding_scope"]
    rows = [[*_cells(vote), vote["scope"] == decides, False] for vote in whole["votes"]]
    rows += [[*_cells(vote), False, True] for vote in whole["trial_votes"] or ()]
    show_table(["scope", "mode", "vote", "decides", "trial"], rows)


def _cells(vote: dict[str, Any]) -> list[object]:
    return [vote["scope"], vote["mode"], vote["vote"]]


def _key_field(key: dict[str, Any]) -> dict[str, object]:
    accepted = "accepted" if key["accepted"] else f"refused: {key['why_not']}"
    return {"key": f"{key['id']} ({key['label']}), {accepted}"}


def _bearer_fields(bearer: dict[str, Any]) -> dict[str, object]:
    name = bearer["name"] and f"{bearer['kind']} {bearer['name']}"
    fields: dict[str, object] = {"bearer": name or "whoever has the roles", "roles": bearer["roles"]}
    fields["issuer"] = bearer["issuer"]
    fields["scopes from"] = bearer["scopes_from"]
    if bearer["token_scopes"]:
        none = f" (no API Scope: {', '.join(bearer['no_scopes'])})" if bearer["no_scopes"] else ""
        unused = " (not heeded)" if bearer["scopes_from"] == "members" else ""
        fields["token names"] = f"{', '.join(bearer['token_scopes'])}{none}{unused}"
    return fields


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
