/* schedule.c - learning rates over time
 *
 * The factor on the optimizer's rate at step k, counted from 0, of K in all, S of them an epoch;
 * epoch e = floor(k / S), gamma and n = `every` as given:
 *
 *     constant      1
 *     step          gamma^floor(e / n)                          PyTorch's StepLR
 *     exponential   gamma^e                                     ExponentialLR
 *     cosine        floor + (1 - floor) (1 + cos(pi k / K)) / 2   CosineAnnealingLR, T_max = K
 *     plateau       gamma^(reductions so far)                   ReduceLROnPlateau
 *     one-cycle     a(1/25, 1; k / u) up to u = K warmup - 1, then
 *                   a(1, 1/250000; (k - u) / (K - 1 - u)), where
 *                   a(p, q; x) = q + (p - q) (1 + cos(pi x)) / 2    OneCycleLR: initial rate 1/25
 *                   of the largest, last rate 1/10000 of the initial one
 *
 * A factor below `floor` becomes `floor`. Then warm-up, for all kinds but one-cycle, which has its
 * own: times min(1, (k + 1) / (warmup S)); at no step is the rate 0. A cosine runs over the whole
 * of K, its warm-up included. */
#include "nn.h"

#include <math.h>

#define PI 3.14159265358979323846

/* from p at x = 0 to q at x = 1 along half a cosine; outside, the nearer end */
static double half_cosine(double p, double q, double x)
{
    x = x > 0 ? fmin(x, 1) : 0;
    return q + (p - q) * (1 + cos(PI * x)) / 2;
}

static double one_cycle(double share, int64_t step, int64_t steps)
{
    const double initial = 1. / 25, last = initial / 1e4, k = (double)step;
    const double top = share * (double)steps - 1, end = (double)steps - 1;
    if (k <= top)
        return half_cosine(initial, 1, top > 0 ? k / top : 1);
    return half_cosine(1, last, end > top ? (k - top) / (end - top) : 1);
}

static double factor_of(const nn_schedule *s, int64_t step, int64_t steps_per_epoch, int64_t steps,
                        int reductions)
{
    const double gamma = s->gamma == 0 ? .1 : s->gamma;
    const int64_t epoch = step / steps_per_epoch, every = s->every > 0 ? s->every : 10;
    const int64_t stairs = epoch / every;
    switch (s->kind) {
    case NN_STEP:
        return pow(gamma, (double)stairs);
    case NN_EXPONENTIAL:
        return pow(gamma, (double)epoch);
    case NN_COSINE:
        return half_cosine(1, s->floor, (double)step / (double)steps);
    case NN_PLATEAU:
        return pow(gamma, reductions > 0 ? reductions : 0);
    case NN_ONE_CYCLE:
        return one_cycle(s->warmup > 0 ? fmin(s->warmup, 1) : .3, step, steps);
    case NN_CONSTANT:
        break;
    }
    return 1;
}

double nn_schedule_factor(const nn_schedule *schedule, int64_t step, int64_t steps_per_epoch,
                          int64_t steps, int reductions)
{
    if (!schedule)
        return 1;
    step = step > 0 ? step : 0;
    steps_per_epoch = steps_per_epoch > 0 ? steps_per_epoch : 1;
    steps = steps > 0 ? steps : 1;
    double factor = factor_of(schedule, step, steps_per_epoch, steps, reductions);
    if (factor < schedule->floor)
        factor = schedule->floor;
    const double rising = schedule->warmup * (double)steps_per_epoch;
    if (schedule->kind != NN_ONE_CYCLE && (double)step + 1 < rising)
        factor *= ((double)step + 1) / rising;
    return factor;
}
