from typing import Any

# One class for each loss, constructed from its parameters, and two for C functions.
def __getattr__(name: str) -> type[Any]: ...
