/* random.c - Philox, and what is drawn from it
 *
 * A generator with a state would make a draw depend on everything drawn before it, and so on the
 * order of recording. Here the state is the question itself: a counter that is enciphered. */
#include "random.h"
#include "tensor.h"

void random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p = (uint64_t)0xD2511F53u * a, q = (uint64_t)0xCD9E8D57u * c;
        a = (uint32_t)(q >> 32) ^ b ^ k0;
        c = (uint32_t)(p >> 32) ^ d ^ k1;
        b = (uint32_t)q;
        d = (uint32_t)p;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = a, out[1] = b, out[2] = c, out[3] = d;
}

/* The cipher has 64 bits of key, seed and key have 128: one more round of it makes the one from the
 * other. For a given seed, its word pairs of different keys are as good as independent. */
random_stream random_stream_of(uint64_t seed, uint64_t key, uint64_t step)
{
    const uint32_t counter[4] = {(uint32_t)key, (uint32_t)(key >> 32), 0, 0};
    const uint32_t start[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t out[4];
    random_philox(counter, start, out);
    return (random_stream){{out[0], out[1]}, step};
}

static void stream_block(const random_stream *s, uint64_t i, uint32_t out[4])
{
    const uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), (uint32_t)s->step,
                                 (uint32_t)(s->step >> 32)};
    random_philox(counter, s->key, out);
}

/* ---- one block of 128 bits to 2 doubles, or 4 floats ---- */

static uint64_t word64(const uint32_t *w) { return (uint64_t)w[0] | (uint64_t)w[1] << 32; }

static void uniform_block(const uint32_t w[4], bool narrow, double out[4])
{
    for (int i = 0; i < (narrow ? 4 : 2); i++)
        out[i] =
            narrow ? (double)(w[i] >> 8) * 0x1p-24 : (double)(word64(w + 2 * i) >> 11) * 0x1p-53;
}

/* G. E. P. Box, M. E. Muller, "A note on the generation of random normal deviates", 1958: no
 * rejection. The radius takes (0, 1], so that its logarithm is finite. */
static void box_muller(double radius, double turn, double out[2])
{
    double r = sqrt(-2 * log(radius)), angle = 6.283185307179586476925286766559 * turn;
    out[0] = r * cos(angle);
    out[1] = r * sin(angle);
}

static void normal_block(const uint32_t w[4], bool narrow, double out[4])
{
    if (narrow)
        for (int i = 0; i < 4; i += 2)
            box_muller(((double)w[i] + 1) * 0x1p-32, (double)w[i + 1] * 0x1p-32, out + i);
    else
        box_muller((double)((word64(w) >> 11) + 1) * 0x1p-53,
                   (double)(word64(w + 2) >> 11) * 0x1p-53, out);
}

/* ---- filling arrays ---- */

typedef void transform(const uint32_t words[4], bool narrow, double out[4]);

static void fill_run(const random_stream *s, transform *f, const array *to, int64_t first,
                     int64_t offset, int64_t step, int64_t count)
{
    bool narrow = to->dtype == AD_F32;
    int64_t per_block = narrow ? 4 : 2;
    uint32_t words[4];
    double value[4];
    for (int64_t i = 0; i < count; i++) {
        int64_t lane = (first + i) % per_block;
        if (i == 0 || lane == 0) {
            stream_block(s, (uint64_t)((first + i) / per_block), words);
            f(words, narrow, value);
        }
        array_put(to, offset + i * step, value[lane]);
    }
}

static void fill(random_stream s, transform *f, const array *to)
{
    const array *only[1] = {to};
    int64_t first = 0;
    for (array_walk w = array_walk_of(1, only); w.left; array_walk_next(&w), first += w.count)
        fill_run(&s, f, to, first, w.offset[0], w.step[0], w.count);
}

void random_uniform(random_stream s, const array *to) { fill(s, uniform_block, to); }

void random_normal(random_stream s, const array *to) { fill(s, normal_block, to); }

void random_bernoulli(random_stream s, double p, const array *to)
{
    const array *only[1] = {to};
    uint32_t words[4];
    double u[4];
    int64_t done = 0;
    for (array_walk w = array_walk_of(1, only); w.left; array_walk_next(&w), done += w.count)
        for (int64_t i = 0; i < w.count; i++) {
            int64_t n = done + i;
            if (i == 0 || n % 2 == 0) {
                stream_block(&s, (uint64_t)(n / 2), words);
                uniform_block(words, false, u);
            }
            array_put(to, w.offset[0] + i * w.step[0], u[n % 2] < p ? 1 : 0);
        }
}

/* ---- permutations ---- */

typedef struct word_source { /* the stream read word by word */
    random_stream stream;
    uint64_t used;
    uint32_t words[4];
} word_source;

static uint32_t next_word(word_source *s)
{
    if (s->used % 4 == 0)
        stream_block(&s->stream, s->used / 4, s->words);
    return s->words[s->used++ % 4];
}

/* An integer below n, all equally likely: D. Lemire, "Fast random integer generation in an
 * interval", 2019. */
static uint32_t bounded(word_source *s, uint32_t n)
{
    uint64_t m = (uint64_t)next_word(s) * n;
    if ((uint32_t)m < n)
        for (uint32_t least = (0u - n) % n; (uint32_t)m < least;)
            m = (uint64_t)next_word(s) * n;
    return (uint32_t)(m >> 32);
}

/* Fisher and Yates' shuffle, from the inside out. */
void random_permutation(random_stream stream, const array *to)
{
    word_source s = {.stream = stream};
    for (int64_t i = 0; i < to->size; i++) {
        int64_t at = array_offset(to, i), from = array_offset(to, bounded(&s, (uint32_t)i + 1));
        if (from != at)
            array_put(to, at, array_get(to, from));
        array_put(to, from, (double)i);
    }
}

/* ---- draws outside of tapes ---- */

/* the array to be written, or why it cannot be */
static ad_status draw_target(ad_tensor *to, bool integers, array *out)
{
    if (!to)
        return AD_NULL;
    *out = tensor_array(to);
    if ((out->dtype == AD_I32) != integers)
        return AD_BAD_DTYPE;
    tensor_touch(to);
    return AD_OK;
}

ad_status ad_draw_uniform(ad_tensor *to, uint64_t seed, uint64_t key, uint64_t step)
{
    array a;
    ad_status status = draw_target(to, false, &a);
    if (status == AD_OK)
        random_uniform(random_stream_of(seed, key, step), &a);
    return status;
}

ad_status ad_draw_normal(ad_tensor *to, uint64_t seed, uint64_t key, uint64_t step)
{
    array a;
    ad_status status = draw_target(to, false, &a);
    if (status == AD_OK)
        random_normal(random_stream_of(seed, key, step), &a);
    return status;
}

ad_status ad_draw_bernoulli(ad_tensor *to, double p, uint64_t seed, uint64_t key, uint64_t step)
{
    array a;
    if (!(p >= 0 && p <= 1))
        return AD_BAD_ARGUMENT;
    ad_status status = draw_target(to, false, &a);
    if (status == AD_OK)
        random_bernoulli(random_stream_of(seed, key, step), p, &a);
    return status;
}

ad_status ad_draw_permutation(ad_tensor *to, uint64_t seed, uint64_t key, uint64_t step)
{
    array a;
    if (to && ad_tensor_size(to) > INT32_MAX)
        return AD_TOO_LARGE;
    ad_status status = draw_target(to, true, &a);
    if (status == AD_OK)
        random_permutation(random_stream_of(seed, key, step), &a);
    return status;
}
