/* initialise.c - first values of parameters: the rules of Glorot, He, LeCun, Nielsen, and PyTorch's
 *
 * All scale a uniform or normal draw so that activations keep their variance from layer to layer;
 * they differ in what they assume of the activation. Draws are counter-based: a parameter's values
 * depend on the model's seed and its own name, not on what was made before it. */
#include "initialise.h"

#include <math.h>

uint64_t nn_hash(const char *text, uint64_t more)
{
    uint64_t h = 14695981039346656037u;
    for (const char *c = text; *c; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    h += more * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

static ad_status scale(ad_tensor *to, double factor, double offset)
{
    int64_t n = ad_tensor_size(to);
    if (ad_tensor_dtype(to) == AD_F32) {
        float *x = ad_tensor_data(to);
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)(x[i] * factor + offset);
    } else {
        double *x = ad_tensor_data(to);
        for (int64_t i = 0; i < n; i++)
            x[i] = x[i] * factor + offset;
    }
    return AD_OK;
}

static ad_status normal(ad_tensor *to, double deviation, uint64_t seed, uint64_t key)
{
    ad_status status = ad_draw_normal(to, seed, key, 0);
    return status ? status : scale(to, deviation, 0);
}

static ad_status uniform(ad_tensor *to, double limit, uint64_t seed, uint64_t key)
{
    ad_status status = ad_draw_uniform(to, seed, key, 0);
    return status ? status : scale(to, 2 * limit, -limit);
}

ad_status nn_initialise(ad_tensor *to, nn_init init, double fan_in, double fan_out, bool bias,
                        uint64_t seed, uint64_t key)
{
    const double in = fan_in > 0 ? fan_in : 1, both = in + (fan_out > 0 ? fan_out : 0);
    if (ad_tensor_size(to) == 0)
        return AD_OK;
    switch (init.kind) {
    case NN_INIT_DEFAULT:
    case NN_INIT_TORCH:
        return uniform(to, 1 / sqrt(in), seed, key);
    case NN_INIT_GLOROT_UNIFORM:
        return uniform(to, sqrt(6 / both), seed, key);
    case NN_INIT_GLOROT_NORMAL:
        return normal(to, sqrt(2 / both), seed, key);
    case NN_INIT_HE_UNIFORM:
        return uniform(to, sqrt(6 / in), seed, key);
    case NN_INIT_HE_NORMAL:
        return normal(to, sqrt(2 / in), seed, key);
    case NN_INIT_LECUN_NORMAL:
        return normal(to, sqrt(1 / in), seed, key);
    case NN_INIT_NIELSEN:
        return normal(to, bias ? 1 : sqrt(1 / in), seed, key);
    case NN_INIT_NORMAL:
        return normal(to, init.value, seed, key);
    case NN_INIT_UNIFORM:
        return uniform(to, init.value, seed, key);
    case NN_INIT_CONSTANT:
        return ad_tensor_fill(to, init.value);
    case NN_INIT_VALUES:
        return init.values ? ad_tensor_write(to, init.values) : AD_NULL;
    }
    return AD_BAD_ARGUMENT;
}
