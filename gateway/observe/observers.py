"""Several observers of the same exchanges, told one after the other."""

from gateway.domain.exchange import Exchange
from gateway.observe.logs import Logs
from gateway.observe.metrics import Metrics


class Observers:
    """The metrics and the logs of a worker, as the one `domain.ports.Observer` the data plane is given."""

    def __init__(self, metrics: Metrics, logs: Logs) -> None:
        self._count = metrics.exchange
        self._log = logs.exchange
        self.upstream_error = metrics.upstream_error

    def exchange(self, record: Exchange) -> None:
        """Take the record of an exchange that has ended."""
        self._count(record)
        self._log(record)
