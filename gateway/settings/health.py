"""How a feed's addresses are looked after beside the requests they serve."""

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.document.fields import Duration
from gateway.document.section import Section, unfit

_TARGET: Final = re.compile(r"/(?!/)[!$%&'()*+,./0-9:;=?@A-Z_a-z~-]*")


def _target(path: str) -> str:
    if _TARGET.fullmatch(path) is None:
        raise unfit("is not a path", "write an absolute path of visible ASCII, such as /health")
    return path


class HealthSettings(Section):
    """Active health checks: a GET to each address, good when answered 2xx or 3xx in time."""

    path: Annotated[str, AfterValidator(_target)]
    interval: Duration = 5.0
    timeout: Duration = 2.0
    unhealthy_after: Annotated[int, Field(ge=1)] = 3
    healthy_after: Annotated[int, Field(ge=1)] = 2

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        """Checks of one address never overlap."""
        if self.timeout > self.interval:
            raise unfit("has a timeout longer than its interval", "give each check less than the interval")
        return self
