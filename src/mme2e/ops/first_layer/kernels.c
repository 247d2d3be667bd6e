/* A convolution of raw maps, batch normalisation, 2x2 maximum and ReLU in one pass, see first_layer.py. Compiled at first
   use by mme2e/ops/compiler.py, with REAL as float or double. Arrays are dense and row-major.

   maps (maps, channels_in, height + size - 1, width + size - 1) hold their padding. The patch of a place is its
   neighbourhood, channels_in x size x size numbers, and a 1 at its end: `depth` numbers. So a bias is the last row of the
   weights (depth, channels), and plain sums are the last row of the sums of products. */

#include "../vectors.h"

#define CORNERS 4

typedef struct {
  long maps, height, width, channels_in, size;
  long line, map, depth; /* numbers from a row to the next, from a map to the next, in a patch */
  long *offsets;         /* (depth - 1,) where a patch's numbers stand, counted from its first */
} shape;

static shape describe(long maps, long height, long width, long channels_in, long size) {
  const long line = width + size - 1, plane = (height + size - 1) * line, depth = channels_in * size * size + 1;
  shape of = {maps, height, width, channels_in, size, line, channels_in * plane, depth, malloc(depth * sizeof(long))};
  for (long k = 0; k < depth - 1; k++)
    of.offsets[k] = k / (size * size) * plane + k / size % size * line + k % size;
  return of;
}

/* Numbers of the patch that one tile takes. */
#define TALL 5
#define BROAD 4

/* sums[k + i][l + j] = sum over all places of the product of a patch's numbers k + i and l + j. */
static void multiply_numbers(const REAL *map, const shape *of, long k, long l, REAL *sums) {
  const REAL *left[TALL], *right[BROAD];
  const long most = of->depth - 2;
  for (int i = 0; i < TALL; i++) left[i] = map + of->offsets[MIN(k + i, most)];
  for (int j = 0; j < BROAD; j++) right[j] = map + of->offsets[MIN(l + j, most)];
  vector sum[TALL][BROAD];
  memset(sum, 0, sizeof(sum));
  REAL total[TALL][BROAD] = {0};
  for (long row = 0; row < of->height; row++) {
    const long start = row * of->line, end = start + of->width;
    long at = start;
    for (; at + LANES <= end; at += LANES) {
      vector y[BROAD];
      for (int j = 0; j < BROAD; j++) y[j] = *(const vector *)(right[j] + at);
      for (int i = 0; i < TALL; i++) {
        const vector x = *(const vector *)(left[i] + at);
        for (int j = 0; j < BROAD; j++) sum[i][j] += x * y[j];
      }
    }
    for (; at < end; at++)
      for (int i = 0; i < TALL; i++)
        for (int j = 0; j < BROAD; j++) total[i][j] += left[i][at] * right[j][at];
  }
  for (int i = 0; i < TALL && k + i <= most; i++)
    for (int j = 0; j < BROAD && l + j <= most; j++) {
      for (int lane = 0; lane < LANES; lane++) total[i][j] += sum[i][j][lane];
      sums[(k + i) * of->depth + l + j] = total[i][j];
    }
}

/* sums (maps, depth, depth): of each map, the sum over its places of the products of each two numbers of a patch. */
long patch_products(const REAL *maps, REAL *sums, long count, long height, long width, long channels_in, long size) {
  const shape of = describe(count, height, width, channels_in, size);
  const long last = of.depth - 1;
#pragma omp parallel for schedule(dynamic)
  for (long map = 0; map < count; map++) {
    const REAL *from = maps + map * of.map;
    REAL *mine = sums + map * of.depth * of.depth;
    for (long k = 0; k < last; k += TALL)
      for (long l = k / BROAD * BROAD; l < last; l += BROAD) multiply_numbers(from, &of, k, l, mine);
    for (long k = 0; k < last; k++) {
      REAL sum = 0;
      for (long row = 0; row < height; row++)
#pragma omp simd reduction(+ : sum)
        for (long column = 0; column < width; column++) sum += from[of.offsets[k] + row * of.line + column];
      mine[k * of.depth + last] = sum;
    }
    mine[last * of.depth + last] = height * width;
    for (long k = 1; k < of.depth; k++) /* it is symmetric */
      for (long l = 0; l < k; l++) mine[k * of.depth + l] = mine[l * of.depth + k];
  }
  free(of.offsets);
  return 0;
}

/* values (CORNERS, WIDE): the four patches of the window at `place` times the weights (depth, columns). */
INLINE void multiply_window(const REAL *place, const shape *of, const REAL *weights, long columns, REAL *values,
                            const int vecs) {
  vector sum[CORNERS][VECS];
  for (int r = 0; r < CORNERS; r++)
    for (int v = 0; v < vecs; v++) sum[r][v] = *(const vector *)(weights + (of->depth - 1) * columns + v * LANES);
  for (long k = 0; k < of->depth - 1; k++) {
    const REAL *at = place + of->offsets[k], x[CORNERS] = {at[0], at[1], at[of->line], at[of->line + 1]};
    vector w[VECS];
    for (int v = 0; v < vecs; v++) w[v] = *(const vector *)(weights + k * columns + v * LANES);
    for (int r = 0; r < CORNERS; r++)
      for (int v = 0; v < vecs; v++) sum[r][v] += x[r] * w[v];
  }
  for (int r = 0; r < CORNERS; r++)
    for (int v = 0; v < vecs; v++) *(vector *)(values + r * WIDE + v * LANES) = sum[r][v];
}

/* best, won (WIDE): the first highest of the four corners, or a NaN, and which it is. */
static void find_highest(const REAL *values, REAL *best, REAL *won) {
#pragma omp simd
  for (long n = 0; n < WIDE; n++) {
    REAL highest = values[n], corner = 0;
    for (int r = 1; r < CORNERS; r++) {
      const REAL y = values[r * WIDE + n];
      const int higher = (y > highest) | (y != y);
      highest = higher ? y : highest;
      corner = higher ? (REAL)r : corner;
    }
    best[n] = highest;
    won[n] = corner;
  }
}

static long filled_up(long channels) { return (channels + LANES - 1) / LANES * LANES; }

/* weights (depth, channels) with rows filled up to whole registers by zeros. */
static REAL *fill_up(const REAL *weights, long depth, long channels) {
  const long columns = filled_up(channels);
  REAL *wide = buffer(depth * columns * sizeof(REAL));
  memset(wide, 0, depth * columns * sizeof(REAL));
  for (long k = 0; k < depth; k++) memcpy(wide + k * columns, weights + k * channels, channels * sizeof(REAL));
  return wide;
}

/* out (maps, height / 2, width / 2, channels): for each 2x2 window the maximum of its patches times the weights, and 0;
   NaN stays. */
long convolve_pooled(const REAL *maps, const REAL *weights, REAL *out, long count, long height, long width,
                     long channels_in, long size, long channels) {
  const shape of = describe(count, height, width, channels_in, size);
  const long high = height / 2, wide = width / 2, columns = filled_up(channels);
  REAL *all = fill_up(weights, of.depth, channels);
#pragma omp parallel for
  for (long row = 0; row < count * high; row++) {
    const REAL *first = maps + row / high * of.map + row % high * 2 * of.line;
    for (long column = 0; column < channels; column += WIDE)
      for (long j = 0; j < wide; j++) {
        const long here = MIN(WIDE, channels - column);
        REAL values[CORNERS * WIDE], *to = out + (row * wide + j) * channels + column;
        WITH_VECS(here, multiply_window, first + 2 * j, &of, all + column, columns, values)
        for (long n = 0; n < here; n++) {
          REAL best = 0; /* the ReLU */
          for (int r = 0; r < CORNERS; r++) {
            const REAL y = values[r * WIDE + n];
            best = (y > best) | (y != y) ? y : best;
          }
          to[n] = best;
        }
      }
  }
  free(all);
  free(of.offsets);
  return 0;
}

/* spread (2, width / 2 * 2, columns): the gradient of a row of windows, at the first highest corner of each where the
   result is above 0, else 0. */
static void spread_gradient(const REAL *first, const shape *of, const REAL *weights, const REAL *gradient, REAL *spread,
                            long channels) {
  const long wide = of->width / 2, columns = filled_up(channels);
  for (long column = 0; column < channels; column += WIDE)
    for (long j = 0; j < wide; j++) {
      const long here = MIN(WIDE, channels - column), filled = MIN(WIDE, columns - column);
      REAL values[CORNERS * WIDE] = {0}, best[WIDE], won[WIDE], upstream[WIDE] = {0};
      WITH_VECS(here, multiply_window, first + 2 * j, of, weights + column, columns, values)
      find_highest(values, best, won);
      memcpy(upstream, gradient + j * channels + column, here * sizeof(REAL));
      for (int r = 0; r < CORNERS; r++) {
        REAL *to = spread + ((r / 2 * wide + j) * 2 + r % 2) * columns + column;
#pragma omp simd
        for (long n = 0; n < filled; n++) to[n] = (won[n] == r) & !(best[n] <= 0) ? upstream[n] : 0;
      }
    }
}

/* sum (depth, columns) += patches of two rows of places, from `first` on, times spread (2, width / 2 * 2, columns). */
INLINE void add_products(const REAL *first, const shape *of, const REAL *spread, REAL *sum, long columns, const int vecs) {
  const long places = of->width / 2 * 2, last = of->depth - 1;
  for (long k = 0; k < last; k += ROWS) {
    vector tile[ROWS][VECS];
    long offsets[ROWS];
    for (int r = 0; r < ROWS; r++) offsets[r] = of->offsets[MIN(k + r, last - 1)];
    for (int r = 0; r < ROWS; r++)
      for (int v = 0; v < vecs; v++) tile[r][v] = (vector){0};
    for (long i = 0; i < 2 * places; i++) {
      const REAL *place = first + i / places * of->line + i % places;
      vector x[VECS];
      for (int v = 0; v < vecs; v++) x[v] = *(const vector *)(spread + i * columns + v * LANES);
      for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < vecs; v++) tile[r][v] += place[offsets[r]] * x[v];
    }
    for (int r = 0; r < ROWS && k + r < last; r++)
      for (int v = 0; v < vecs; v++) *(vector *)(sum + (k + r) * columns + v * LANES) += tile[r][v];
  }
  for (long i = 0; i < 2 * places; i++)
    for (int v = 0; v < vecs; v++)
      *(vector *)(sum + last * columns + v * LANES) += *(const vector *)(spread + i * columns + v * LANES);
}

/* sums (maps, depth, channels): of each map, the sum over its windows of the first highest patch times the gradient
   (maps, height / 2, width / 2, channels), where the result of `convolve_pooled` is above 0. */
long patch_gradients(const REAL *maps, const REAL *weights, const REAL *gradient, REAL *sums, long count, long height,
                     long width, long channels_in, long size, long channels) {
  const shape of = describe(count, height, width, channels_in, size);
  const long high = height / 2, wide = width / 2, columns = filled_up(channels);
  REAL *all = fill_up(weights, of.depth, channels);
#pragma omp parallel
  {
    REAL *spread = buffer(CORNERS * wide * columns * sizeof(REAL)), *sum = buffer(of.depth * columns * sizeof(REAL));
#pragma omp for
    for (long map = 0; map < count; map++) {
      memset(sum, 0, of.depth * columns * sizeof(REAL));
      for (long row = 0; row < high; row++) {
        const REAL *first = maps + map * of.map + 2 * row * of.line;
        spread_gradient(first, &of, all, gradient + (map * high + row) * wide * channels, spread, channels);
        for (long column = 0; column < columns; column += WIDE)
          WITH_VECS(columns - column, add_products, first, &of, spread + column, sum + column, columns)
      }
      for (long k = 0; k < of.depth; k++)
        memcpy(sums + (map * of.depth + k) * channels, sum + k * columns, channels * sizeof(REAL));
    }
    free(spread);
    free(sum);
  }
  free(all);
  free(of.offsets);
  return 0;
}
