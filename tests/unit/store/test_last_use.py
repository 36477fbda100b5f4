from collections.abc import Mapping

from gateway.domain.exchange import Exchange, Outcome
from gateway.domain.ports import StoreUnavailableError
from gateway.store.last_use import LastUse


class Book:
    """Where last uses are written, on paper; it may be away."""

    def __init__(self) -> None:
        self.pages: list[dict[int, float]] = []
        self.away = False

    async def record_last_use(self, used: Mapping[int, float]) -> None:
        """See UseBook."""
        if self.away:
            raise StoreUnavailableError("the store is away")
        self.pages.append(dict(used))


def use_of(key_id: int | None, ts: float) -> Exchange:
    """The record of an exchange with a key at a time."""
    nothing = dict.fromkeys(Exchange._fields)
    return Exchange(**nothing | {"ts": ts, "key_id": key_id, "outcome": Outcome.PERMIT})


async def test_a_use_is_written_at_the_next_occasion_and_once() -> None:
    book = Book()
    uses = LastUse(book)
    uses.exchange(use_of(7, 1.0))
    uses.exchange(use_of(7, 2.0))
    uses.exchange(use_of(None, 3.0))
    await uses.write()
    await uses.write()
    assert book.pages == [{7: 2.0}]


async def test_a_busy_key_is_not_written_again_at_once_but_is_at_the_end() -> None:
    book = Book()
    uses = LastUse(book)
    uses.exchange(use_of(7, 1.0))
    await uses.write()
    uses.exchange(use_of(7, 2.0))
    uses.exchange(use_of(8, 2.0))
    await uses.write()
    assert book.pages == [{7: 1.0}, {8: 2.0}]
    await uses.write(everything=True)
    assert book.pages[2:] == [{7: 2.0}]


async def test_what_could_not_be_written_is_kept() -> None:
    book = Book()
    uses = LastUse(book)
    book.away = True
    uses.exchange(use_of(7, 1.0))
    await uses.write()
    uses.exchange(use_of(7, 2.0))
    book.away = False
    await uses.write()
    assert book.pages == [{7: 2.0}]
