"""How many requests a feed is given at a time."""

from typing import Protocol


class Taken(Protocol):
    """What an exchange has taken, and gives back once, when it is over, however it ends."""

    def leave(self) -> None:
        """Give it back."""
        ...


class Room:
    """Places for requests under way. Whoever took one gives it back once, when its exchange is over."""

    __slots__ = ("_most", "taken")

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0

    def take(self) -> bool:
        """Take a place, if one is free."""
        if self.taken >= self._most:
            return False
        self.taken += 1
        return True

    def leave(self) -> None:
        """Give a place back."""
        self.taken -= 1
