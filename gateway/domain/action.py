"""The four things an integration can do to a module."""

from enum import IntEnum
from typing import Self


class Action(IntEnum):
    """A CRUD action; its value is the place it has in every compiled table of rights."""

    CREATE = 0
    READ = 1
    UPDATE = 2
    DELETE = 3

    @property
    def word(self) -> str:
        """The action as operators write it: `create`, `read`, `update`, `delete`."""
        return self.name.lower()

    @classmethod
    def named(cls, word: str) -> Self | None:
        """The action an operator's word means, or None."""
        return cls.__members__.get(word.upper()) if word.islower() else None
