"""One line of a route map file: its shape, and what can be wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import Field

from gateway.document.fields import TOKEN, SizeOrNone
from gateway.document.problem import Location, nearest
from gateway.document.section import Section, read_section
from gateway.document.yamlfile import Document, Value
from gateway.domain.action import Action
from gateway.domain.feed import Feed
from gateway.domain.target import Route
from gateway.routing.routemap import METHODS, MappedRoute, actions_of
from gateway.routing.template import Fault, Template, parse_template

ACTIONS: Final = tuple(action.word for action in Action)
NEVER_MAPPED: Final = frozenset({"TRACE", "CONNECT"})


class RouteLine(Section):
    """The keys of a route."""

    path: str
    module: str | None = None
    actions: Mapping[str, str] = Field(default_factory=dict)
    only: bool = False
    public: bool = False
    max_body: SizeOrNone | None = None


@dataclass(frozen=True, slots=True)
class LineReader:
    """Reads the routes of one file, whose feed has these modules and this prefix."""

    document: Document
    feed: Feed
    modules: frozenset[str]
    prefix: str
    allowed: frozenset[str]

    def read(self, place: int, content: Value) -> tuple[int, MappedRoute] | None:
        """The route at a place in the list, or None; every problem is recorded in the document."""
        at: Location = ("routes", place)
        line = read_section(self.document, RouteLine, content, at)
        if line is None:
            self._look_at_the_rest(at, content)
            return None
        template = self._template(at, line.path)
        actions = self._actions(at, line)
        if not self._module_is_good(at, line) or template is None or actions is None:
            return None
        route = Route(
            line.path, self.document.where((*at, "path")), public=line.public, max_body=line.max_body
        )
        return place, MappedRoute(self.feed, template, route, line.module, actions)

    def _look_at_the_rest(self, at: Location, content: Value) -> None:
        """Check path and module of a line whose shape is wrong elsewhere, so that all is told at once."""
        if isinstance(content, dict):
            path, module = content.get("path"), content.get("module")
            if isinstance(path, str):
                self._template(at, path)
            if isinstance(module, str):
                self._module_is_known(at, module)

    def _template(self, at: Location, path: str) -> Template | None:
        template = parse_template(path, self.allowed)
        if isinstance(template, Fault):
            self.document.complain((*at, "path"), f"{path[:200]} {template.message}", template.hint)
            return None
        if self.prefix and path != self.prefix and not path.startswith(f"{self.prefix}/"):
            self.document.complain(
                (*at, "path"),
                f"{path[:200]} can never match: the feed's prefix is {self.prefix}, and it stays in the path",
                f"write {self.prefix}{path}"[:200],
            )
            return None
        return template

    def _module_is_good(self, at: Location, line: RouteLine) -> bool:
        if line.module is not None:
            return self._module_is_known(at, line.module)
        if not line.public:
            self.document.complain((*at, "module"), "is required", "name a module, or say `public: true`")
        return line.public

    def _module_is_known(self, at: Location, module: str) -> bool:
        if module in self.modules:
            return True
        hint = nearest(module, self.modules, what="modules") or "list it under modules"
        self.document.complain((*at, "module"), f"unknown module {module[:80]!r}", hint)
        return False

    def _actions(self, at: Location, line: RouteLine) -> Mapping[str, Action] | None:
        """The action of each method, or None where a word is wrong."""
        said = {}
        for method, word in line.actions.items():
            here = (*at, "actions", method)
            action = Action.named(word)
            if action is None:
                self.document.complain(
                    here, f"unknown action {word[:80]!r}", nearest(word, ACTIONS, what="actions")
                )
            elif self._method_is_good(here, method):
                said[method] = action
        if line.only and not line.actions:
            self.document.complain(
                (*at, "only"), "needs actions: without any the route maps no method", "list them"
            )
            return None
        return actions_of(said, only=line.only) if len(said) == len(line.actions) else None

    def _method_is_good(self, here: Location, method: str) -> bool:
        """Whether a method can be mapped."""
        if method in METHODS:
            return True
        if method in NEVER_MAPPED:
            self.document.complain(here, f"{method} is never forwarded", "leave it out")
        elif TOKEN.fullmatch(method) is None:
            self.document.complain(here, f"{method[:80]!r} is not a method")
        else:
            known = nearest(method.upper(), METHODS, what="methods")
            self.document.complain(here, f"unknown method {method[:80]!r}", known)
        return False
