/* Below FAR a Pade approximant, which is exact to single precision there; beyond it (e - 1) / (e + 1)
 * with e = exp(2 |x|) = 2^whole * exp(rest), |rest| <= ln 2 / 2, by its Taylor polynomial.
 * Both are computed of all: loops of fixed length without branches, each over one kind of number, are
 * what compilers make vector instructions of. */
#include "core/tanh_each.h"

#include <stdint.h>
#include <string.h>

enum { LANES = 8 };

union lanes {
    float real[LANES];
    int32_t bits[LANES]; /* without the sign, ordered as the numbers are */
};

enum {
    SIGN = INT32_MIN,
    FAR = 0x3f19999a, /* 0.6 */
    ONE = 0x3f800000,
    END = 0x41200000, /* 10: tanh is 1 to single precision */
    INFINITE = 0x7f800000,
    EXPONENT_SHIFT = 23,
};

/* tanh(size), size from 0 to 10. */
static union lanes far_of(const union lanes *size)
{
    const float two_log2_e = 2.885390082F;
    const float ln2 = 0.6931471806F;
    const float to_whole = 12582912.0F; /* 1.5 * 2^23: a sum's last bit is worth 1 */
    union lanes power, rest;
    union lanes far;

    for (int i = 0; i < LANES; i++) {
        float z = size->real[i] * two_log2_e;
        power.real[i] = z + to_whole;
        rest.real[i] = (z - (power.real[i] - to_whole)) * ln2;
    }
    for (int i = 0; i < LANES; i++) { /* 2^whole: of to_whole's own bits nothing stays */
        power.bits[i] = (int32_t)((uint32_t)power.bits[i] << EXPONENT_SHIFT) + ONE;
    }
    for (int i = 0; i < LANES; i++) {
        float r = rest.real[i];
        float tail = 1.0F / 24 + r * (1.0F / 120 + r * (1.0F / 720));
        float e = power.real[i] * (1.0F + r * (1.0F + r * (1.0F / 2 + r * (1.0F / 6 + r * tail))));
        far.real[i] = (e - 1.0F) / (e + 1.0F);
    }
    return far;
}

static union lanes near_of(const union lanes *x)
{
    union lanes near;

    for (int i = 0; i < LANES; i++) {
        float s = x->real[i] * x->real[i];
        near.real[i] =
            x->real[i] * (945.0F + s * (105.0F + s)) / (945.0F + s * (420.0F + 15.0F * s));
    }
    return near;
}

static void tanh_lanes(float values[LANES])
{
    union lanes x, size, near, far;

    memcpy(x.real, values, sizeof x.real);
    for (int i = 0; i < LANES; i++) {
        int32_t bits = x.bits[i] & INT32_MAX;
        size.bits[i] = bits < END ? bits : END;
    }
    near = near_of(&x);
    far = far_of(&size);
    for (int i = 0; i < LANES; i++) {
        int32_t signed_far = far.bits[i] | (x.bits[i] & SIGN);
        int32_t number = size.bits[i] < FAR ? near.bits[i] : signed_far;
        x.bits[i] = (x.bits[i] & INT32_MAX) > INFINITE ? x.bits[i] : number;
    }
    memcpy(values, x.real, sizeof x.real);
}

void tanh_each(float *values, size_t n)
{
    const size_t n_rest = n % LANES;
    float rest[LANES] = {0};

    for (size_t i = 0; i + LANES <= n; i += LANES) {
        tanh_lanes(values + i);
    }
    memcpy(rest, values + n - n_rest, n_rest * sizeof *rest);
    tanh_lanes(rest);
    memcpy(values + n - n_rest, rest, n_rest * sizeof *rest);
}
