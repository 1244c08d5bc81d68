/* Loops over elements that are compiled for wider vectors too, of which the program picks at start:
 * VECTOR_CLONES before a function. Without fused operations (-std=c17 forbids them) every version
 * gives the same bits, so long as no order of additions is left to the compiler. */
#ifndef DGLD_CORE_VECTOR_CLONES_H
#define DGLD_CORE_VECTOR_CLONES_H

/* Sanitizers cannot work with functions that are picked that early. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define VECTOR_CLONES                                                       \
    __attribute__((target_clones("arch=skylake-avx512", "avx2", "default"), \
                   optimize("O3", "no-trapping-math")))
#else
#define VECTOR_CLONES
#endif

#endif
