/* 2x2 maximum over active sites, see pooling.py. Compiled as kernels.c is. */

#include <stdint.h>
#include <string.h>

/* corners (frames * (height / 2) * (width / 2), 4): the site in each corner of each parent that has any, else -1;
   positions: those parents. Returns how many there are; what is beyond them is scratch. Sites stand at rising places
   (frame, row, column); an odd last row or column belongs to no parent. */
long find_corners(const int64_t *places, int32_t *corners, int64_t *positions, long sites, long frames, long height,
                  long width) {
  const long high = height / 2, wide = width / 2, cells = frames * high * wide;
  memset(corners, -1, cells * 4 * sizeof(int32_t));
  for (long i = 0; i < sites; i++) {
    const long frame = places[i] / (height * width), cell = places[i] % (height * width);
    const long row = cell / width, column = cell % width;
    if (row / 2 < high && column / 2 < wide)
      corners[((frame * high + row / 2) * wide + column / 2) * 4 + row % 2 * 2 + column % 2] = (int32_t)i;
  }
  long parents = 0;
  for (long cell = 0; cell < cells; cell++) {
    const int32_t *from = corners + cell * 4;
    if ((from[0] & from[1] & from[2] & from[3]) == -1) continue;
    memmove(corners + parents * 4, from, 4 * sizeof(int32_t));
    positions[parents++] = cell;
  }
  return parents;
}

/* highest (parents, channels), and which corner it stands in: the first of equals, NaN before all numbers. */
long maximum(const REAL *features, const int32_t *corners, REAL *highest, uint8_t *winner, long parents, long channels) {
#pragma omp parallel for
  for (long parent = 0; parent < parents; parent++) {
    REAL *best = highest + parent * channels;
    uint8_t *won = winner ? winner + parent * channels : 0;
    int empty = 1;
    for (int corner = 0; corner < 4; corner++) {
      const int32_t site = corners[parent * 4 + corner];
      if (site < 0) continue;
      const REAL *x = features + (long)site * channels;
      if (empty) {
        memcpy(best, x, channels * sizeof(REAL));
        if (won) memset(won, corner, channels);
      } else if (won) {
        for (long c = 0; c < channels; c++) {
          const int higher = (x[c] > best[c]) | ((x[c] != x[c]) & (best[c] == best[c]));
          best[c] = higher ? x[c] : best[c];
          won[c] = higher ? corner : won[c];
        }
      } else {
        for (long c = 0; c < channels; c++) best[c] = (x[c] > best[c]) | (x[c] != x[c]) ? x[c] : best[c];
      }
      empty = 0;
    }
  }
  return 0;
}

/* of_features (sites, channels): the gradient where a site won, else 0. */
long maximum_gradient(const REAL *gradient, const int32_t *corners, const uint8_t *winner, REAL *of_features, long sites,
                      long parents, long channels) {
  memset(of_features, 0, sites * channels * sizeof(REAL)); /* sites without a parent */
#pragma omp parallel for
  for (long parent = 0; parent < parents; parent++)
    for (int corner = 0; corner < 4; corner++) {
      const int32_t site = corners[parent * 4 + corner];
      if (site < 0) continue;
      const REAL *g = gradient + parent * channels;
      const uint8_t *won = winner + parent * channels;
      REAL *mine = of_features + (long)site * channels;
      for (long c = 0; c < channels; c++) mine[c] = won[c] == corner ? g[c] : 0;
    }
  return 0;
}
