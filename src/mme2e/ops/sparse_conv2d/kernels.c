/* Submanifold 3x3 convolution on CPUs: gathering and multiplying in one pass, forward and both gradients.

   Compiled at first use by mme2e/ops/compiler.py, with REAL as float or double. All arrays are dense and row-major.
   neighbours (sites, 9) holds the site at each offset, row-major from -1 to 1, or -1. Sizes are of elements. */

#include <omp.h>

#include "../vectors.h"

typedef struct {
  int32_t site, neighbour;
} pair;

/* The sites of first..last that have a neighbour at the offset, counted from first. */
static long pairs_at(const int32_t *neighbours, long first, long last, int offset, pair *pairs) {
  long count = 0;
  for (long i = first; i < last; i++) {
    int32_t neighbour = neighbours[i * 9 + offset];
    pairs[count] = (pair){(int32_t)(i - first), neighbour};
    count += neighbour >= 0;
  }
  return count;
}

/* out[r][:width] += x[r][:depth] times panel (depth, WIDE), for `rows` rows; rows and vecs are constants where this is
   inlined. */
INLINE void multiply(const REAL *const *x, REAL *const *out, const REAL *panel, long depth, long width, const int rows,
                     const int vecs) {
  vector sum[ROWS][VECS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vecs; v++) sum[r][v] = (vector){0};
  for (long k = 0; k < depth; k++) {
    vector w[VECS];
    for (int v = 0; v < vecs; v++) w[v] = *(const vector *)(panel + k * WIDE + v * LANES);
    for (int r = 0; r < rows; r++)
      for (int v = 0; v < vecs; v++) sum[r][v] += x[r][k] * w[v];
  }
  for (int r = 0; r < rows; r++)
    if (width == vecs * LANES)
      for (int v = 0; v < vecs; v++) *(vector *)(out[r] + v * LANES) += sum[r][v];
    else
      for (long n = 0; n < width; n++) out[r][n] += sum[r][n / LANES][n % LANES];
}

/* panel[k][n] = weight[n * step_n + k * step_k], zero from width on. */
static void pack(const REAL *weight, long step_n, long step_k, long width, long depth, REAL *panel) {
  const long block = 16; /* of k: a line of the cache is read once */
  for (long first = 0; first < depth; first += block)
    for (long n = 0; n < width; n++)
      for (long k = first; k < MIN(first + block, depth); k++) panel[k * WIDE + n] = weight[n * step_n + k * step_k];
  if (width < WIDE)
    for (long k = 0; k < depth; k++) memset(panel + k * WIDE + width, 0, (WIDE - width) * sizeof(REAL));
}

/* Sites whose results are added up together: their features and results stay in the second-level cache. */
#define SITES 512

/* The nine matrices of a panel, see `convolve`. */
typedef struct {
  const REAL *matrices;
  long column, width, depth;
} panel;

_Static_assert(ROWS == 6, "convolve_block has a case for each number of rows below ROWS");

INLINE void convolve_block(const REAL *features, const int32_t *neighbours, panel from, REAL *out, long first, long last,
                           long channels_out, pair *pairs, const int vecs) {
  for (long i = first; i < last; i++) memset(out + i * channels_out + from.column, 0, from.width * sizeof(REAL));
  REAL *block = out + first * channels_out + from.column;
  for (int o = 0; o < 9; o++) {
    const REAL *matrix = from.matrices + o * from.depth * WIDE, *x[ROWS];
    REAL *y[ROWS];
    const long count = pairs_at(neighbours, first, last, o, pairs);
    for (long i = 0; i < count; i += ROWS) {
      const int rows = (int)MIN(ROWS, count - i);
      for (int r = 0; r < rows; r++) {
        x[r] = features + (long)pairs[i + r].neighbour * from.depth;
        y[r] = block + pairs[i + r].site * channels_out;
      }
      switch (rows) { /* as many as a constant, so that the last few of a block cost no more than they are */
        case 1: multiply(x, y, matrix, from.depth, from.width, 1, vecs); break;
        case 2: multiply(x, y, matrix, from.depth, from.width, 2, vecs); break;
        case 3: multiply(x, y, matrix, from.depth, from.width, 3, vecs); break;
        case 4: multiply(x, y, matrix, from.depth, from.width, 4, vecs); break;
        case 5: multiply(x, y, matrix, from.depth, from.width, 5, vecs); break;
        default: multiply(x, y, matrix, from.depth, from.width, ROWS, vecs);
      }
    }
  }
}

/* out = max(out * scale + shift, 0) */
static void normalise_block(REAL *out, panel of, const REAL *scale, const REAL *shift, long first, long last,
                            long channels_out) {
  for (long i = first; i < last; i++)
    for (long n = of.column; n < of.column + of.width; n++) {
      const REAL y = out[i * channels_out + n] * scale[n] + shift[n];
      out[i * channels_out + n] = y < 0 ? 0 : y; /* NaN stays */
    }
}

/* out (sites, channels_out): for each site the sum over its neighbours of their features times the offset's matrix.

   The matrix of offset o is read as weight[o * step_offset + n * step_out + k * step_in], n < channels_out and
   k < channels_in; so the gradient of the features is the same function with the steps exchanged and `mirrored`.
   Where scale and shift (channels_out) are given, a normalisation and ReLU follow. */
long convolve(const REAL *features, const int32_t *neighbours, const REAL *weight, const REAL *scale, const REAL *shift,
              REAL *out, long sites, long channels_in, long channels_out, long step_offset, long step_out, long step_in,
              long mirrored) {
  const long panels = (channels_out + WIDE - 1) / WIDE, blocks = (sites + SITES - 1) / SITES;
  /* Few tasks of many blocks: each task packs its panel anew. */
  const long groups = MIN(blocks, (4 * omp_get_max_threads() + panels - 1) / panels);
#pragma omp parallel
  {
    REAL *matrices = buffer(9 * channels_in * WIDE * sizeof(REAL));
    pair *pairs = buffer(SITES * sizeof(pair));
#pragma omp for schedule(dynamic)
    for (long task = 0; task < panels * groups; task++) {
      const long column = task / groups * WIDE, group = task % groups;
      const panel mine = {matrices, column, MIN(channels_out - column, WIDE), channels_in};
      for (int o = 0; o < 9; o++)
        pack(weight + (mirrored ? 8 - o : o) * step_offset + column * step_out, step_out, step_in, mine.width,
             channels_in, matrices + o * channels_in * WIDE);
      for (long block = blocks * group / groups; block < blocks * (group + 1) / groups; block++) {
        const long first = block * SITES, last = MIN(first + SITES, sites);
        WITH_VECS(mine.width, convolve_block, features, neighbours, mine, out, first, last, channels_out, pairs)
        if (scale) normalise_block(out, mine, scale, shift, first, last, channels_out);
      }
    }
    free(matrices);
    free(pairs);
  }
  return 0;
}

/* Rows of a matrix's gradient that one task sums up, in tiles of ROWS; with all nine offsets they fill half of the
   second-level cache. Sites that are walked together. */
#define TILES 22
#define STRETCH 256

/* tile (ROWS, WIDE) += sum over the pairs of upstream[site]^T features[neighbour][:width]; upstream (STRETCH, ROWS). */
INLINE void add_outer_products(const REAL *upstream, const REAL *features, long channels_in, const pair *pairs,
                               long count, REAL *tile, long width, const int vecs) {
  vector sum[ROWS][VECS];
  for (int r = 0; r < ROWS; r++)
    for (int v = 0; v < vecs; v++) sum[r][v] = *(vector *)(tile + r * WIDE + v * LANES);
  for (long i = 0; i < count; i++) {
    const REAL *there = features + (long)pairs[i].neighbour * channels_in, *here = upstream + pairs[i].site * ROWS;
    vector x[VECS];
    if (width == vecs * LANES) {
      for (int v = 0; v < vecs; v++) x[v] = *(const vector *)(there + v * LANES);
    } else {
      memset(x, 0, sizeof(x));
      memcpy(x, there, width * sizeof(REAL));
    }
    for (int r = 0; r < ROWS; r++)
      for (int v = 0; v < vecs; v++) sum[r][v] += here[r] * x[v];
  }
  for (int r = 0; r < ROWS; r++)
    for (int v = 0; v < vecs; v++) *(vector *)(tile + r * WIDE + v * LANES) = sum[r][v];
}

/* sum (9, tiles, ROWS, WIDE) of gradient[i][row...]^T features[neighbour(i, o)][column...] over sites first..last. */
static void sum_outer_products(const REAL *gradient, const REAL *features, const int32_t *neighbours, long first,
                               long last, long channels_in, long channels_out, long row, long column, REAL *sum,
                               REAL *upstream, pair *pairs) {
  const long height = MIN(channels_out - row, TILES * ROWS), width = MIN(channels_in - column, WIDE);
  const long tiles = (height + ROWS - 1) / ROWS;
  memset(sum, 0, 9 * tiles * ROWS * WIDE * sizeof(REAL));
  for (; first < last; first += STRETCH) {
    const long end = MIN(first + STRETCH, last);
    for (long i = first; i < end; i++) /* upstream (tiles, STRETCH, ROWS) */
      for (long t = 0; t < tiles; t++)
        for (long r = 0; r < ROWS; r++)
          upstream[(t * STRETCH + i - first) * ROWS + r] =
              t * ROWS + r < height ? gradient[i * channels_out + row + t * ROWS + r] : 0;
    for (int o = 0; o < 9; o++) {
      const long count = pairs_at(neighbours, first, end, o, pairs);
      for (long t = 0; t < tiles; t++) {
        const REAL *here = upstream + t * STRETCH * ROWS;
        REAL *tile = sum + (o * tiles + t) * ROWS * WIDE;
        WITH_VECS(width, add_outer_products, here, features + column, channels_in, pairs, count, tile, width)
      }
    }
  }
}

/* partial (stripes, 9, channels_out, channels_in): gradient of the weights, of each stripe of the sites. */
long weight_gradient(const REAL *gradient, const REAL *features, const int32_t *neighbours, REAL *partial, long stripes,
                     long sites, long channels_in, long channels_out) {
  const long columns = (channels_in + WIDE - 1) / WIDE, rows = (channels_out + TILES * ROWS - 1) / (TILES * ROWS);
#pragma omp parallel
  {
    REAL *sum = buffer(9 * TILES * ROWS * WIDE * sizeof(REAL)), *upstream = buffer(TILES * STRETCH * ROWS * sizeof(REAL));
    pair *pairs = buffer(STRETCH * sizeof(pair));
#pragma omp for schedule(dynamic)
    for (long task = 0; task < columns * rows * stripes; task++) {
      const long stripe = task % stripes, column = task / stripes % columns * WIDE;
      const long row = task / stripes / columns * TILES * ROWS;
      const long height = MIN(channels_out - row, TILES * ROWS), width = MIN(channels_in - column, WIDE);
      const long tall = (height + ROWS - 1) / ROWS * ROWS;
      sum_outer_products(gradient, features, neighbours, sites * stripe / stripes, sites * (stripe + 1) / stripes,
                         channels_in, channels_out, row, column, sum, upstream, pairs);
      REAL *mine = partial + stripe * 9 * channels_out * channels_in;
      for (long o = 0; o < 9; o++)
        for (long n = 0; n < height; n++)
          memcpy(mine + (o * channels_out + row + n) * channels_in + column, sum + (o * tall + n) * WIDE,
                 width * sizeof(REAL));
    }
    free(sum);
    free(upstream);
    free(pairs);
  }
  return 0;
}
