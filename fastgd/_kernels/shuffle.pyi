from typing import final

from fastgd._types import FloatArray, Fused, IndexArray

@final
class Visits:
    def __init__(self, capsule: object, n: int, batch_size: int) -> None: ...
    @property
    def capsule(self) -> object: ...
    @property
    def n(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def swaps(self) -> int: ...

# capsule, values, top, bottom
shuffle: Fused[[object, FloatArray | IndexArray, int, int], None]
