"""Base class of losses, gradients, penalties and schedules: immutable, compared and shown by their parameters."""
from __future__ import annotations

from typing import Any, Self


class Immutable:
    """Immutable object, equal to another of the same class and parameters; a copy is the object itself."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters by name, in the order of the constructor."""
        raise NotImplementedError

    def _set(self, **attributes: object) -> None:
        """Set attributes; only for `__init__`."""
        self.__dict__.update(attributes)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot set {name!r}: {self!r} is immutable; make another one with other parameters")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete {name!r}: {self!r} is immutable")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Immutable):
            return NotImplemented
        return type(self) is type(other) and self.parameters == other.parameters

    def __hash__(self) -> int:
        return hash((type(self), *self.parameters.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.parameters.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(self.parameters.values())
