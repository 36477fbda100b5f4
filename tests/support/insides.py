"""What an object of ours holds, read alike from the plain and from the compiled form of its class."""

from types import GetSetDescriptorType, MemberDescriptorType


def held_by(one: object) -> list[object]:
    """The value of every slot; a compiled class shows its slots as descriptors and has no `__slots__`."""
    slots = MemberDescriptorType | GetSetDescriptorType
    return [getattr(one, name) for name, kept in vars(type(one)).items() if isinstance(kept, slots)]
