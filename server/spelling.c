#include "server/spelling.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static char fold(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return c == '-' ? '_' : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment; row i of the table tells the distances of the first i letters of `a`,
 * and a swap looks two rows back. */
size_t spelling_distance(const char *a, const char *b)
{
    size_t rows[3][SPELLING_MAX_LENGTH + 1];
    size_t n = strlen(a);
    size_t m = strlen(b);

    if (n > SPELLING_MAX_LENGTH || m > SPELLING_MAX_LENGTH) {
        return SIZE_MAX;
    }
    for (size_t k = 0; k <= m; k++) {
        rows[0][k] = k;
    }
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t k = 1; k <= m; k++) {
            char x = fold(a[i - 1]);
            char y = fold(b[k - 1]);
            row[k] = least(least(above[k], row[k - 1]) + 1, above[k - 1] + (x == y ? 0 : 1));
            if (i > 1 && k > 1 && x == fold(b[k - 2]) && y == fold(a[i - 2])) {
                row[k] = least(row[k], two_above[k - 2] + 1);
            }
        }
    }
    return rows[n % 3][m];
}

void spelling_offer(struct spelling *spelling, const char *name)
{
    /* a third of the letters may be wrong: more says nothing, and nothing is near an empty name */
    size_t limit = strlen(spelling->given) / 3;
    size_t distance = spelling_distance(spelling->given, name);

    if (distance <= limit && (spelling->nearest == NULL || distance < spelling->distance)) {
        spelling->nearest = name;
        spelling->distance = distance;
    }
}
