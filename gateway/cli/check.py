"""`gateway check`: is the configuration good? If not, everything that is wrong with it."""

import os
from pathlib import Path

import click

from gateway.cli.output import REFUSED, json_option, say, show_json, show_problems
from gateway.configuration import Configuration, config_hash, load_everything
from gateway.document.problem import SettingsError
from gateway.domain.feed import Enforcement


@click.command()
@json_option
@click.pass_obj
def check(config: Path, *, as_json: bool) -> None:
    """Validate the configuration and the route maps, and print all problems."""
    try:
        configuration = load_everything(config, os.environ)
    except SettingsError as error:
        if as_json:
            show_json({"good": False, "problems": [problem.as_dict() for problem in error.problems]})
        else:
            show_problems(error.problems)
        raise SystemExit(REFUSED) from None
    if as_json:
        show_json({"good": True, "problems": [], **summary(configuration)})
    else:
        _tell(configuration)


def summary(configuration: Configuration) -> dict[str, object]:
    """What a good configuration amounts to."""
    settings, table = configuration
    return {
        "hash": config_hash(configuration),
        "listen": str(settings.listen),
        "admin_listen": str(settings.admin.listen),
        "feeds": [
            {
                "name": mapped.feed.name,
                "enabled": mapped.feed.enabled,
                "enforcement": mapped.feed.enforcement.value,
                "upstream": [str(upstream) for upstream in settings.feeds[mapped.feed.name].upstream],
                "hosts": list(mapped.hosts),
                "prefix": mapped.prefix or None,
                "routes": len(mapped.routes),
            }
            for mapped in table.maps
        ],
        "routes": len(table.routes),
        "modules": sorted(table.modules.bits),
    }


def _tell(configuration: Configuration) -> None:
    table = configuration.routes
    say(
        f"configuration is good: {_count(len(table.maps), 'feed')}, {_count(len(table.routes), 'route')}, "
        f"{_count(len(table.modules.bits), 'module')}"
    )
    for mapped in table.maps:
        feed = mapped.feed
        upstream = ", ".join(map(str, configuration.settings.feeds[feed.name].upstream))
        notes = [] if feed.enabled else ["switched off"]
        if feed.enforcement is Enforcement.OBSERVE:
            notes.append("only observed: nothing is refused for want of a credential, a route or a scope")
        said = f"  {feed.name} at {upstream}: {_count(len(mapped.routes), 'route')}"
        say("; ".join([said, *notes]))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
