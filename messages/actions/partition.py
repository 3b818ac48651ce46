"""What parts two sides of a system from each other."""

from messages.actions.spec import ActionSpec, Parameters


class Partition(Parameters):
    """How the sides are parted."""

    one_way: bool = False
    """Only what the first side sends to the second does not arrive. It ends TCP both ways, as in reality; datagrams only one way."""


PARTITION_ACTIONS: dict[str, ActionSpec] = {
    "partition": ActionSpec(
        "Parts two sides: nothing that one sends arrives at the other.",
        fault=True,
        means="link",
        on=("partition",),
        parameters=Partition,
    ),
}
