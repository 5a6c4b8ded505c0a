from fastgd._types import FloatArray, Fused, IndexArray

# capsule, values, top, bottom
shuffle: Fused[[object, FloatArray | IndexArray, int, int], None]
