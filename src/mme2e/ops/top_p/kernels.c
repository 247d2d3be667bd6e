/* Top-p of frames one after the other, see ragged.py. Compiled as the kernels of sparse_conv2d are. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  uint32_t key, site;
} item;

/* Sorts by rising key and keeps the order of equals; room has space for as many. */
static void sort(item *items, item *room, long count) {
  for (int shift = 0; shift < 32; shift += 8) {
    long starts[257] = {0};
    for (long i = 0; i < count; i++) starts[(items[i].key >> shift & 255) + 1]++;
    for (int digit = 0; digit < 256; digit++) starts[digit + 1] += starts[digit];
    for (long i = 0; i < count; i++) room[starts[items[i].key >> shift & 255]++] = items[i];
    item *sorted = room;
    room = items;
    items = sorted;
  } /* four turns: the result stands where it began */
}

/* keep (sites): 1 for the heaviest of each frame until they hold `share` of its weight, else 0; borders (frames + 1).
   Weights are not negative, so that their bits sort as they do. A frame with NaN keeps all. */
long top_p(const REAL *weights, const int64_t *borders, const double *share, uint8_t *keep, long frames) {
  long largest = 0;
  for (long f = 0; f < frames; f++)
    if (borders[f + 1] - borders[f] > largest) largest = borders[f + 1] - borders[f];
#pragma omp parallel
  {
    item *items = malloc((2 * largest + 1) * sizeof(item));
#pragma omp for
    for (long f = 0; f < frames; f++) {
      const REAL *mine = weights + borders[f];
      uint8_t *kept = keep + borders[f];
      const long count = borders[f + 1] - borders[f];
      int lost = 0;
      for (long i = 0; i < count; i++) {
        const float weight = mine[i] + 0.0f; /* no minus zero */
        uint32_t bits;
        memcpy(&bits, &weight, sizeof(bits));
        items[i] = (item){~bits, (uint32_t)i};
        lost |= weight != weight;
      }
      memset(kept, lost, count);
      if (lost) continue;
      sort(items, items + largest, count);
      double passed = 0;
      for (long i = 0; i < count && passed < *share; i++) {
        kept[items[i].site] = 1;
        passed += mine[items[i].site];
      }
    }
    free(items);
  }
  return 0;
}
