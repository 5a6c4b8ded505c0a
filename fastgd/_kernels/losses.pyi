from typing import Any

# One class for each loss of the package, made with the loss's parameters, and two for C functions.
def __getattr__(name: str) -> type[Any]: ...
