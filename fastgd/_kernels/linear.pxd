cpdef Py_ssize_t levels(Py_ssize_t n) noexcept nogil
