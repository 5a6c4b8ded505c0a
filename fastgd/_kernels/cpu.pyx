"""Instruction level and name of the CPU, and the compiler of the kernels."""

cdef extern from *:
    """
    #include <string.h>
    #if defined(__x86_64__) || defined(_M_X64)
    #if defined(_MSC_VER) && !defined(__clang__)
    #include <intrin.h>
    static void fastgd_cpuid(unsigned leaf, unsigned r[4]) {
        __cpuidex((int *) r, (int) leaf, 0);
    }
    static unsigned fastgd_saved_registers(void) {
        return (unsigned) _xgetbv(0);
    }
    #else
    #include <cpuid.h>
    static void fastgd_cpuid(unsigned leaf, unsigned r[4]) {
        __cpuid_count(leaf, 0, r[0], r[1], r[2], r[3]);
    }
    static unsigned fastgd_saved_registers(void) {
        unsigned low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        return low;
    }
    #endif

    #define FASTGD_HAS(word, bits) (((word) & (bits)) == (bits))

    /* The levels of the System V ABI for x86-64: of 3 and 4, the highest whose instructions the CPU has and whose
       registers the system saves; else 1. */
    static int fastgd_x86_level(void) {
        unsigned most[4], basic[4], more[4], extended[4], saved;
        fastgd_cpuid(0, most);
        fastgd_cpuid(0x80000000u, extended);
        if (most[0] < 7 || extended[0] < 0x80000001u)
            return 1;
        fastgd_cpuid(1, basic);
        fastgd_cpuid(7, more);
        fastgd_cpuid(0x80000001u, extended);
        /* ecx: SSE3 0, SSSE3 9, FMA 12, CMPXCHG16B 13, SSE4.1 19, SSE4.2 20, MOVBE 22, POPCNT 23, OSXSAVE 27, AVX 28,
           F16C 29; ebx of 7: BMI1 3, AVX2 5, BMI2 8; ecx of 0x80000001: LAHF 0, LZCNT 5 */
        if (!FASTGD_HAS(basic[2], 0x38d83201u) || !FASTGD_HAS(more[1], 0x128u) || !FASTGD_HAS(extended[2], 0x21u))
            return 1;
        saved = fastgd_saved_registers();
        if (!FASTGD_HAS(saved, 0x6u))     /* xmm, ymm */
            return 1;
        /* ebx of 7: AVX512 F 16, DQ 17, CD 28, BW 30, VL 31; opmask and zmm */
        return FASTGD_HAS(more[1], 0xd0030000u) && FASTGD_HAS(saved, 0xe6u) ? 4 : 3;
    }

    static void fastgd_cpu_name(char name[49]) {
        unsigned r[4], i;
        memset(name, 0, 49);
        fastgd_cpuid(0x80000000u, r);
        for (i = 0; i < 3 && r[0] >= 0x80000004u; i++) {
            unsigned words[4];
            fastgd_cpuid(0x80000002u + i, words);
            memcpy(name + 16 * i, words, 16);
        }
    }
    #else
    static int fastgd_x86_level(void) {
        return 0;
    }
    static void fastgd_cpu_name(char name[49]) {
        memset(name, 0, 49);
    }
    #endif

    #if defined(__clang__)
    #define FASTGD_COMPILER "clang " __clang_version__
    #elif defined(__GNUC__)
    #define FASTGD_COMPILER "GCC " __VERSION__
    #elif defined(_MSC_VER)
    #define FASTGD_TEXT_OF(x) #x
    #define FASTGD_TEXT(x) FASTGD_TEXT_OF(x)
    #define FASTGD_COMPILER "MSVC " FASTGD_TEXT(_MSC_FULL_VER)
    #else
    #define FASTGD_COMPILER "unknown"
    #endif
    """
    int fastgd_x86_level() noexcept nogil
    void fastgd_cpu_name(char* name) noexcept nogil
    const char* FASTGD_COMPILER

compiler = FASTGD_COMPILER.decode().strip()


def x86_level():
    """3 or 4 if the CPU has the instructions of x86-64-v3 or x86-64-v4, else 1; 0 on other machines."""
    return fastgd_x86_level()


def name():
    """Name of the CPU as it reports it, or ''."""
    cdef char text[49]
    fastgd_cpu_name(text)
    return text[:].decode("ascii", "replace").split("\0")[0].strip()
