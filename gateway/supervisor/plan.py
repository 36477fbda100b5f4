"""What the parent process needs to know of the configuration, and nothing more."""

from dataclasses import dataclass, field
from pathlib import Path

from gateway.settings.address import Address


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to listen, how many workers to run, and what to tell of the configuration.

    `files` are what `--watch` watches; `warnings` are sentences about the configuration that stand as long as
    it is in force. `texts` are those files as they were read, by absolute path.
    `store` may hold a password: it is compared and never shown.
    """

    config: Path
    listen: Address
    admin: Address
    workers: int
    store: str = field(repr=False)
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    scheme: str = "http"
    texts: dict[str, str] = field(default_factory=dict, repr=False)

    def needs_restart(self, changed: "Plan") -> tuple[str, ...]:
        """The settings that differ in another plan and that only a restart can put in force."""
        fixed = {
            "listen": self.listen != changed.listen,
            "admin.listen": self.admin != changed.admin,
            "workers": self.workers != changed.workers,
            "store": self.store != changed.store,
        }
        return tuple(name for name, differs in fixed.items() if differs)
