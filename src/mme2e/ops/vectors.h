/* Vector registers of the processor that is compiled for; REAL is float or double. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A tile of ROWS x VECS vector registers is summed up while the depth of a product is walked. The sizes fill the
   registers there are: 32 of 64 bytes, 32 of 16 bytes (ARM), or 16 of 32 bytes. */
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define VECS 4
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define VECS 4
#else
#define VECTOR_BYTES 32
#define VECS 2
#endif
#define ROWS 6
#define LANES ((long)(VECTOR_BYTES / sizeof(REAL)))
#define WIDE (LANES * VECS)

typedef REAL vector __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL))));
#define INLINE static inline __attribute__((always_inline))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* Calls function(..., vecs) with as many registers as `width` needs, as a constant, so that loops over them unroll. */
#define WITH_VECS(width, function, ...)                        \
  switch (((width) + LANES - 1) / LANES) {                     \
    case 1: function(__VA_ARGS__, 1); break;                   \
    case 2: function(__VA_ARGS__, 2); break;                   \
    case 3: function(__VA_ARGS__, VECS < 3 ? VECS : 3); break; \
    default: function(__VA_ARGS__, VECS);                      \
  }

static inline void *buffer(size_t bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }
