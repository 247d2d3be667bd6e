/* Some rows of a matrix, each multiplied by its gate, see taking.py. Compiled as kernels.c is. */

#include <stdint.h>
#include <string.h>

/* taken[i] = features[kept[i]] * gates[i]; without gates the rows as they are. */
long take(const REAL *features, const int64_t *kept, const REAL *gates, REAL *restrict taken, long count,
          long channels) {
#pragma omp parallel for
  for (long i = 0; i < count; i++) {
    const REAL *x = features + kept[i] * channels;
    REAL *out = taken + i * channels;
    if (!gates) {
      memcpy(out, x, channels * sizeof(REAL));
      continue;
    }
#pragma omp simd
    for (long c = 0; c < channels; c++) out[c] = x[c] * gates[i];
  }
  return 0;
}

/* of_features (rows, channels): each taken row's gradient times its gate, zero elsewhere; kept rises, so that whoever
   writes a row also fills the gap before it. of_gates (count,), or null without gates. */
long take_gradient(const REAL *gradient, const REAL *features, const int64_t *kept, const REAL *gates,
                   REAL *restrict of_features, REAL *restrict of_gates, long rows, long count, long channels) {
  const long last = count ? kept[count - 1] : -1;
  memset(of_features + (last + 1) * channels, 0, (rows - last - 1) * channels * sizeof(REAL));
#pragma omp parallel for
  for (long i = 0; i < count; i++) {
    const long row = kept[i], gap = i ? kept[i - 1] + 1 : 0;
    memset(of_features + gap * channels, 0, (row - gap) * channels * sizeof(REAL));
    const REAL *g = gradient + i * channels;
    REAL *out = of_features + row * channels;
    if (!gates) {
      memcpy(out, g, channels * sizeof(REAL));
      continue;
    }
    const REAL *x = features + row * channels;
    REAL sum = 0;
#pragma omp simd reduction(+ : sum)
    for (long c = 0; c < channels; c++) {
      out[c] = g[c] * gates[i];
      sum += g[c] * x[c];
    }
    of_gates[i] = sum;
  }
  return 0;
}
