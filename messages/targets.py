"""What an action works on: services by name, or some that are chosen when it starts; a link, a volume, or two sides of a partition."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from messages.actions.spec import TargetKind
from messages.claims.claim import Targets, as_tuple
from messages.values import Document, Token

Percentage = Annotated[str, StringConstraints(pattern=r"\A(100|[1-9]?[0-9])%\z")]
Names = Token | tuple[Token, ...]


class Selection(Document):
    """A target that is more than names. Exactly one of `of`, `group`, `link`, `volume` and `between`."""

    of: tuple[Token, ...] | None = None
    """Services to choose from."""
    group: Token | None = None
    """A group to choose from."""
    link: Names | None = None
    """Links between services; one fault each."""
    volume: Names | None = None
    """Volumes; one fault each."""
    between: Annotated[tuple[Names, ...], Field(min_length=2, max_length=2)] | None = None
    """Two sides that are parted: services, or groups of them."""
    where: str | None = None
    """CEL over `name`, `role`, `up` (healthy) and `index`: only those are candidates. Asked when the action starts."""
    pick: Annotated[int, Field(ge=1, le=200)] | Percentage | None = None
    """How many of the candidates: a number, or a percentage, rounded up. All of them when left out."""

    @property
    def kind(self) -> TargetKind:
        """What it names."""
        if self.link is not None:
            return "link"
        if self.volume is not None:
            return "volume"
        return "partition" if self.between is not None else "service"

    @property
    def is_live(self) -> bool:
        """Whether it is chosen when the action starts."""
        return self.where is not None or self.pick is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The names that stand in it: candidates, links, volumes, or the services of both sides."""
        if self.between is not None:
            return tuple(name for side in self.between for name in as_tuple(side))
        return as_tuple(self.of or self.link or self.volume or ())

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [word for word in ("of", "group", "link", "volume", "between") if getattr(self, word) is not None]
        if len(given) != 1 and given != ["of", "group"]:
            msg = "a target is exactly one of: a name, a list of names, of, group, link, volume, between"
            raise ValueError(msg)
        if self.is_live and self.kind != "service":
            msg = f"where and pick choose among services, not among {given[0]}s"
            raise ValueError(msg)
        return self


Target = Targets | Selection


def picked(pick: int | str | None, candidates: int) -> int:
    """How many of so many candidates are picked; a percentage is rounded up."""
    if isinstance(pick, str):
        return -(-candidates * int(pick[:-1]) // 100)
    return candidates if pick is None else min(pick, candidates)
