/* block_random.c - random draws as operations of a tape
 *
 * They are leaves, but unlike an input they compute: each replay draws for its own step. No
 * gradient flows. */
#define AD_PLAIN
#include "random.h"
#include "tape.h"

typedef struct draw {
    uint64_t key;
    double p; /* of bernoulli */
} draw;

static random_stream draw_stream(const frame *f, const block *b)
{
    return random_stream_of(f->seed, ((const draw *)b->attr)->key, f->step);
}

static ad_status uniform_value(frame *f, block *b)
{
    array y = block_result(f, b);
    random_uniform(draw_stream(f, b), &y);
    return AD_OK;
}

static ad_status normal_value(frame *f, block *b)
{
    array y = block_result(f, b);
    random_normal(draw_stream(f, b), &y);
    return AD_OK;
}

static ad_status bernoulli_value(frame *f, block *b)
{
    array y = block_result(f, b);
    random_bernoulli(draw_stream(f, b), ((const draw *)b->attr)->p, &y);
    return AD_OK;
}

static ad_status permutation_value(frame *f, block *b)
{
    array y = block_result(f, b);
    random_permutation(draw_stream(f, b), &y);
    return AD_OK;
}

static const block_op uniform_op = {
    .name = "random_uniform", .value = uniform_value, .is_leaf = true};
static const block_op normal_op = {.name = "random_normal", .value = normal_value, .is_leaf = true};
static const block_op bernoulli_op = {
    .name = "random_bernoulli", .value = bernoulli_value, .is_leaf = true};
static const block_op permutation_op = {
    .name = "random_permutation", .value = permutation_value, .is_leaf = true};

static ad_var draw_call(const block_op *op, ad_tape *tape, draw d, ad_dtype dtype, int rank,
                        const int64_t *shape)
{
    call c;
    if (!call_begin(&c, op->name, tape, 0, NULL))
        return call_poison(&c);
    if (op != &permutation_op && dtype != AD_F64 && dtype != AD_F32)
        return call_fail(&c, AD_BAD_DTYPE, "%s: only float and double can be drawn",
                         ad_dtype_name(dtype));
    if (!(d.p >= 0 && d.p <= 1))
        return call_fail(&c, AD_BAD_ARGUMENT, "%g is no probability", d.p);
    if (rank < 0 || (rank && !shape))
        return call_fail(&c, rank < 0 ? AD_BAD_SHAPE : AD_NULL, "there is no shape");
    return call_end(&c, op, -1, rank ? dtype : AD_F64, rank, shape, (call_attr){&d, sizeof d, 0});
}

ad_var ad_random_uniform(ad_tape *tape, uint64_t key, ad_dtype dtype, int rank,
                         const int64_t *shape)
{
    return draw_call(&uniform_op, tape, (draw){key, 0}, dtype, rank, shape);
}

ad_var ad_random_normal(ad_tape *tape, uint64_t key, ad_dtype dtype, int rank, const int64_t *shape)
{
    return draw_call(&normal_op, tape, (draw){key, 0}, dtype, rank, shape);
}

ad_var ad_random_bernoulli(ad_tape *tape, uint64_t key, double p, ad_dtype dtype, int rank,
                           const int64_t *shape)
{
    return draw_call(&bernoulli_op, tape, (draw){key, p}, dtype, rank, shape);
}

/* a negative n is refused as a shape */
ad_var ad_random_permutation(ad_tape *tape, uint64_t key, int32_t n)
{
    return draw_call(&permutation_op, tape, (draw){key, 0}, AD_I32, 1, (int64_t[]){n});
}
