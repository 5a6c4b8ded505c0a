from typing import ClassVar, final

@final
class SquaredError:
    max_curvature: ClassVar[float]

@final
class AbsoluteError:
    max_curvature: ClassVar[float]

@final
class Huber:
    max_curvature: ClassVar[float]
    def __init__(self, delta: float) -> None: ...
    @property
    def delta(self) -> float: ...

@final
class Quartic:
    max_curvature: ClassVar[float]

@final
class CrossEntropy:
    max_curvature: ClassVar[float]

@final
class Pinball:
    max_curvature: ClassVar[float]
    def __init__(self, q: float) -> None: ...
    @property
    def q(self) -> float: ...

@final
class LogCosh:
    max_curvature: ClassVar[float]

@final
class EpsilonInsensitive:
    max_curvature: ClassVar[float]
    def __init__(self, epsilon: float) -> None: ...
    @property
    def epsilon(self) -> float: ...

@final
class CFunctions:
    max_curvature: ClassVar[float]
    def __init__(self, value: int, slope: int, kept_alive: object) -> None: ...
    @property
    def kept_alive(self) -> object: ...

@final
class CFunctionsWithData:
    max_curvature: ClassVar[float]
    def __init__(self, value: int, slope: int, value_data: int, slope_data: int, kept_alive: object) -> None: ...
    @property
    def kept_alive(self) -> object: ...
