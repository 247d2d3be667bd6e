/* Batch normalisation and ReLU, with or without a 2x2 maximum between them, see batch_norm.py. Compiled at first use by
   mme2e/ops/compiler.py, with REAL as float or double. Arrays are dense and row-major: rows of channels, or maps of
   height rows of width such rows. Stripes are summed up by themselves, so that any number of threads gives the same. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* Rows that are walked twice while they are in the first-level cache. */
#define BLOCK_BYTES 16384

/* mean, deviations (stripes, channels): means and sums of squared deviations from them, of each stripe of the rows. */
long statistics(const REAL *x, double *mean, double *deviations, long stripes, long rows, long channels) {
  const long most = BLOCK_BYTES / (long)sizeof(REAL) / channels, step = most > 8 ? most : 8;
#pragma omp parallel
  {
    REAL *sum = malloc(2 * channels * sizeof(REAL)), *squares = sum + channels;
#pragma omp for
    for (long stripe = 0; stripe < stripes; stripe++) {
      double *m = mean + stripe * channels, *d = deviations + stripe * channels;
      const long start = rows * stripe / stripes, end = rows * (stripe + 1) / stripes;
      memset(m, 0, channels * sizeof(double));
      memset(d, 0, channels * sizeof(double));
      for (long first = start; first < end; first += step) {
        const long count = MIN(step, end - first), before = first - start;
        memset(sum, 0, 2 * channels * sizeof(REAL));
        for (long i = first; i < first + count; i++)
#pragma omp simd
          for (long c = 0; c < channels; c++) sum[c] += x[i * channels + c];
#pragma omp simd
        for (long c = 0; c < channels; c++) sum[c] /= count;
        for (long i = first; i < first + count; i++)
#pragma omp simd
          for (long c = 0; c < channels; c++) {
            const REAL off = x[i * channels + c] - sum[c];
            squares[c] += off * off;
          }
        const double share = (double)count / (before + count); /* Chan, Golub and LeVeque 1983 */
#pragma omp simd
        for (long c = 0; c < channels; c++) {
          const double apart = sum[c] - m[c];
          m[c] += apart * share;
          d[c] += squares[c] + apart * apart * before * share;
        }
      }
    }
    free(sum);
  }
  return 0;
}

/* out = max(x * scale + shift, 0); NaN stays. */
long normalise(const REAL *x, const REAL *scale, const REAL *shift, REAL *restrict out, long rows, long channels) {
#pragma omp parallel for
  for (long i = 0; i < rows; i++)
#pragma omp simd
    for (long c = 0; c < channels; c++) {
      const REAL y = x[i * channels + c] * scale[c] + shift[c];
      out[i * channels + c] = y < 0 ? 0 : y;
    }
  return 0;
}

/* The first highest of four normalised values, or a NaN; a real number says which, so that lanes are of one width. */
#define HIGHEST(y0, y1, y2, y3, best, won) \
  REAL best = y0, won = 0;                 \
  HIGHER(y1, 1, best, won)                 \
  HIGHER(y2, 2, best, won)                 \
  HIGHER(y3, 3, best, won)
#define HIGHER(y, corner, best, won)                 \
  {                                                  \
    const int higher = (y > best) | (y != y);        \
    best = higher ? y : best;                        \
    won = higher ? (REAL)corner : won;               \
  }

/* The four normalised corners of a window whose upper rows begin at x0 and whose lower ones at x2. */
#define CORNERS                                                                              \
  const REAL y0 = x0[c] * scale[c] + shift[c], y1 = x0[channels + c] * scale[c] + shift[c]; \
  const REAL y2 = x2[c] * scale[c] + shift[c], y3 = x2[channels + c] * scale[c] + shift[c];

/* out (maps, height / 2, width / 2, channels): the 2x2 maximum of max(x * scale + shift, 0). */
long normalise_pooled(const REAL *x, const REAL *scale, const REAL *shift, REAL *restrict out, long maps, long height, long width,
                      long channels) {
  const long high = height / 2, wide = width / 2;
#pragma omp parallel for
  for (long line = 0; line < maps * high; line++) {
    const REAL *upper = x + (line / high * height + line % high * 2) * width * channels;
    for (long j = 0; j < wide; j++) {
      const REAL *restrict x0 = upper + 2 * j * channels, *x2 = x0 + width * channels;
      REAL *result = out + (line * wide + j) * channels;
#pragma omp simd
      for (long c = 0; c < channels; c++) {
        CORNERS
        HIGHEST(y0, y1, y2, y3, best, won)
        (void)won;
        result[c] = best < 0 ? 0 : best;
      }
    }
  }
  return 0;
}

/* Where the result is 0 the gradient stops. Sums of what goes on, and of it times x - mean: (stripes, 2, channels). */
long gradient_sums(const REAL *x, const REAL *gradient, const REAL *scale, const REAL *shift, const REAL *mean,
                   REAL *restrict sums, long stripes, long rows, long channels) {
#pragma omp parallel for
  for (long stripe = 0; stripe < stripes; stripe++) {
    REAL *sum = sums + stripe * 2 * channels, *with_x = sum + channels;
    memset(sum, 0, 2 * channels * sizeof(REAL));
    for (long i = rows * stripe / stripes; i < rows * (stripe + 1) / stripes; i++) {
      const REAL *here = x + i * channels, *from = gradient + i * channels;
#pragma omp simd
      for (long c = 0; c < channels; c++) {
        const REAL y = here[c] * scale[c] + shift[c], upstream = from[c], g = y <= 0 ? 0 : upstream;
        sum[c] += g;
        with_x[c] += g * (here[c] - mean[c]);
      }
    }
  }
  return 0;
}

/* As `gradient_sums`, of a gradient (maps, height / 2, width / 2, channels) that goes to the highest of four. */
long gradient_sums_pooled(const REAL *x, const REAL *gradient, const REAL *scale, const REAL *shift, const REAL *mean,
                          REAL *restrict sums, long stripes, long maps, long height, long width, long channels) {
  const long high = height / 2, wide = width / 2, lines = maps * high;
#pragma omp parallel for
  for (long stripe = 0; stripe < stripes; stripe++) {
    REAL *sum = sums + stripe * 2 * channels, *with_x = sum + channels;
    memset(sum, 0, 2 * channels * sizeof(REAL));
    for (long line = lines * stripe / stripes; line < lines * (stripe + 1) / stripes; line++) {
      const REAL *upper = x + (line / high * height + line % high * 2) * width * channels;
      for (long j = 0; j < wide; j++) {
        const REAL *restrict x0 = upper + 2 * j * channels, *x2 = x0 + width * channels;
        const REAL *from = gradient + (line * wide + j) * channels;
#pragma omp simd
        for (long c = 0; c < channels; c++) {
          CORNERS
          HIGHEST(y0, y1, y2, y3, best, won)
          const REAL upstream = from[c], g = best <= 0 ? 0 : upstream;
          const REAL a = x0[c], b = x0[channels + c], d = x2[c], e = x2[channels + c];
          const REAL above = won == 1 ? b : a, below = won == 3 ? e : d, highest = won < 2 ? above : below;
          sum[c] += g;
          with_x[c] += g * (highest - mean[c]);
        }
      }
    }
  }
  return 0;
}

/* grad_x = what goes on * scale + x * slope + offset: the last two are what mean and variance pass on. */
long gradient_of_x(const REAL *x, const REAL *gradient, const REAL *scale, const REAL *shift, const REAL *slope,
                   const REAL *offset, REAL *restrict grad_x, long rows, long channels) {
#pragma omp parallel for
  for (long i = 0; i < rows; i++) {
    const REAL *here = x + i * channels, *from = gradient + i * channels;
    REAL *to = grad_x + i * channels;
#pragma omp simd
    for (long c = 0; c < channels; c++) {
      const REAL y = here[c] * scale[c] + shift[c], upstream = from[c], g = y <= 0 ? 0 : upstream;
      to[c] = g * scale[c] + (here[c] * slope[c] + offset[c]);
    }
  }
  return 0;
}

/* As `gradient_of_x`, of a pooled gradient. */
long gradient_of_x_pooled(const REAL *x, const REAL *gradient, const REAL *scale, const REAL *shift, const REAL *slope,
                          const REAL *offset, REAL *restrict grad_x, long maps, long height, long width, long channels) {
  const long high = height / 2, wide = width / 2, half = (height + 1) / 2;
#pragma omp parallel for
  for (long line = 0; line < maps * half; line++) {
    const long map = line / half, row = line % half, start = (map * height + row * 2) * width * channels;
    const long lower = width * channels; /* from a row to the next */
    if (row == high || width % 2) { /* an odd last row or column has no window */
      const long first = row == high ? 0 : width - 1, rows = row == high ? 1 : 2;
      for (long r = 0; r < rows; r++)
        for (long j = first; j < width; j++)
#pragma omp simd
          for (long c = 0; c < channels; c++) {
            const long at = start + r * lower + j * channels + c;
            grad_x[at] = x[at] * slope[c] + offset[c];
          }
    }
    if (row == high) continue;
    for (long j = 0; j < wide; j++) {
      const REAL *restrict x0 = x + start + 2 * j * channels, *x2 = x0 + lower;
      const REAL *from = gradient + ((map * high + row) * wide + j) * channels;
      REAL *to0 = grad_x + start + 2 * j * channels, *to2 = to0 + lower;
#pragma omp simd
      for (long c = 0; c < channels; c++) {
        CORNERS
        HIGHEST(y0, y1, y2, y3, best, won)
        const REAL upstream = from[c] * scale[c], g = best <= 0 ? 0 : upstream;
        to0[c] = (won == 0 ? g : 0) + (x0[c] * slope[c] + offset[c]);
        to0[channels + c] = (won == 1 ? g : 0) + (x0[channels + c] * slope[c] + offset[c]);
        to2[c] = (won == 2 ? g : 0) + (x2[c] * slope[c] + offset[c]);
        to2[channels + c] = (won == 3 ? g : 0) + (x2[channels + c] * slope[c] + offset[c]);
      }
    }
  }
  return 0;
}
