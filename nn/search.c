/* search.c - tries hyperparameters: all of a grid, or points drawn at random
 *
 * A random point depends on the seed and its number only: coordinate j of trial i (from 0) is the
 * j-th number of ad_draw_uniform with the key below and step i. More trials go on where fewer
 * ended, and trials may be run in any order. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "error.h"

enum { DEFAULT_STEPS = 3 };
static const uint64_t SEARCH_KEY = 0x736561726368; /* "search" */

/* ---- what can be searched ---- */

static int steps_of(const nn_search_config *config)
{
    return config->steps ? config->steps : DEFAULT_STEPS;
}

/* How many values of it a grid has: one of a range that is a point. */
static int64_t grid_size(const nn_search_config *config, const nn_hyperparameter *h)
{
    return h->n_values ? h->n_values : h->low < h->high ? steps_of(config) : 1;
}

static ad_status check_values(const nn_hyperparameter *h, const char *where, nn_error *error)
{
    if (!h->values)
        return nn_fail(error, AD_NULL, "%s: n_values is %d, but values is NULL", where,
                       h->n_values);
    for (int i = 0; i < h->n_values; i++)
        if (!isfinite(h->values[i]))
            return nn_fail(error, AD_BAD_ARGUMENT, "%s: value %d of %d is %g; it must be finite",
                           where, i + 1, h->n_values, h->values[i]);
    return AD_OK;
}

static ad_status check_range(const nn_hyperparameter *h, const char *where, nn_error *error)
{
    if (!isfinite(h->low) || !isfinite(h->high))
        return nn_fail(error, AD_BAD_ARGUMENT, "%s: its range %g to %g is not finite", where,
                       h->low, h->high);
    if (h->low > h->high)
        return nn_fail(error, AD_BAD_ARGUMENT, "%s: low %g is above high %g; exchange them", where,
                       h->low, h->high);
    if (h->logarithmic && h->low <= 0)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "%s: a logarithmic range needs low > 0, but it is %g", where, h->low);
    return AD_OK;
}

static ad_status check_hyperparameter(const nn_search_config *config, int k, nn_error *error)
{
    const nn_hyperparameter *h = &config->hyperparameters[k];
    char where[160];
    snprintf(where, sizeof where, "nn_search: hyperparameter %d of %d (%s)", k + 1, config->n,
             h->name ? h->name : "without a name");
    if (h->n_values < 0)
        return nn_fail(error, AD_BAD_ARGUMENT, "%s: n_values is %d; it cannot be negative", where,
                       h->n_values);
    return h->n_values ? check_values(h, where, error) : check_range(h, where, error);
}

static ad_status check(const nn_search_config *config, nn_error *error)
{
    if (!config)
        return nn_fail(error, AD_NULL, "nn_search: config is NULL");
    if (config->n <= 0)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "nn_search: n is %d; there must be a hyperparameter to search", config->n);
    if (!config->hyperparameters)
        return nn_fail(error, AD_NULL, "nn_search: hyperparameters is NULL");
    if (config->trials < 0 || config->steps < 0)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "nn_search: trials is %d and steps %d; neither can be negative",
                       config->trials, config->steps);
    for (int k = 0; k < config->n; k++) {
        ad_status status = check_hyperparameter(config, k, error);
        if (status)
            return status;
    }
    return AD_OK;
}

/* The number of trials, which callers count in int. */
static ad_status count_trials(const nn_search_config *config, int *trials, nn_error *error)
{
    int64_t size = 1;
    for (int k = 0; k < config->n && !config->trials; k++) {
        size *= grid_size(config, &config->hyperparameters[k]); /* both below 2^31 */
        if (size > INT_MAX)
            return nn_fail(error, AD_TOO_LARGE,
                           "nn_search: the grid of the first %d of %d hyperparameters has %lld "
                           "points already; draw some at random: set trials",
                           k + 1, config->n, (long long)size);
    }
    *trials = config->trials ? config->trials : (int)size;
    return AD_OK;
}

int64_t nn_search_size(const nn_search_config *config)
{
    int trials = 0;
    return check(config, NULL) || count_trials(config, &trials, NULL) ? -1 : trials;
}

/* ---- points ---- */

/* The value at a share of a range; its ends exactly. */
static double in_range(const nn_hyperparameter *h, double share)
{
    if (share <= 0 || h->low == h->high)
        return h->low;
    if (share >= 1)
        return h->high;
    double span = h->high - h->low; /* infinite from -1e308 to 1e308 */
    double value = h->logarithmic   ? exp((1 - share) * log(h->low) + share * log(h->high))
                   : isfinite(span) ? h->low + share * span
                                    : (1 - share) * h->low + share * h->high;
    return fmax(h->low, fmin(h->high, value));
}

/* A single step takes the middle. */
static double on_grid(const nn_search_config *config, const nn_hyperparameter *h, int64_t i)
{
    int steps = steps_of(config);
    if (h->n_values)
        return h->values[i];
    return in_range(h, steps > 1 ? (double)i / (steps - 1) : .5);
}

static double at_random(const nn_hyperparameter *h, double uniform)
{
    int last = h->n_values - 1;
    if (!h->n_values)
        return in_range(h, uniform);
    return h->values[(int)fmin(last, floor(uniform * h->n_values))];
}

/* The last hyperparameter changes fastest, as in nested loops. */
static void grid_point(const nn_search_config *config, int trial, double *point)
{
    int64_t rest = trial;
    for (int k = config->n - 1; k >= 0; k--) {
        const nn_hyperparameter *h = &config->hyperparameters[k];
        point[k] = on_grid(config, h, rest % grid_size(config, h));
        rest /= grid_size(config, h);
    }
}

static ad_status random_point(const nn_search_config *config, int trial, ad_tensor *draws,
                              double *point, nn_error *error)
{
    ad_status status = ad_draw_uniform(draws, config->seed, SEARCH_KEY, (uint64_t)trial);
    if (status)
        return nn_fail(error, status, "nn_search: no random point for trial %d: %s", trial + 1,
                       ad_status_name(status));
    const double *uniform = ad_tensor_data_const(draws);
    for (int k = 0; k < config->n; k++)
        point[k] = at_random(&config->hyperparameters[k], uniform[k]);
    return AD_OK;
}

/* ---- the search ---- */

typedef struct search {
    const nn_search_config *config;
    nn_trial trial;
    void *user;
    ad_tensor *draws; /* NULL: a grid */
    double *point;
    double *best, *score;
    bool found;
} search;

static void keep_if_better(search *s, double score)
{
    bool better = s->config->maximise ? score > *s->score : score < *s->score;
    if (isnan(score) || (s->found && !better))
        return;
    s->found = true;
    *s->score = score;
    for (int k = 0; k < s->config->n; k++)
        s->best[k] = s->point[k];
}

static ad_status run_trials(search *s, int trials, double *points, double *scores, nn_error *error)
{
    const nn_search_config *config = s->config;
    size_t n = (size_t)config->n;
    for (int i = 0; i < trials; i++) {
        ad_status status = AD_OK;
        if (s->draws)
            status = random_point(config, i, s->draws, s->point, error);
        else
            grid_point(config, i, s->point);
        if (status)
            return status;
        for (size_t k = 0; points && k < n; k++)
            points[(size_t)i * n + k] = s->point[k];
        double score = s->trial(s->point, s->user);
        if (scores)
            scores[i] = score;
        keep_if_better(s, score);
        if (config->report)
            config->report(s->user, i + 1, trials, s->point, score);
    }
    if (!s->found)
        return nn_fail(error, AD_NOT_FINITE,
                       "nn_search: all %d trials failed: each gave a score of NaN", trials);
    return AD_OK;
}

ad_status nn_search(const nn_search_config *config, nn_trial trial, void *user, double *best,
                    double *score, double *points, double *scores, nn_error *error)
{
    int trials = 0;
    if (nn_earlier(error))
        return nn_earlier(error);
    if (!trial || !best || !score)
        return nn_fail(error, AD_NULL, "nn_search: %s is NULL",
                       !trial  ? "trial"
                       : !best ? "best"
                               : "score");
    ad_status status = check(config, error);
    if (!status)
        status = count_trials(config, &trials, error);
    if (status)
        return status;
    *score = NAN;
    search s = {.config = config, .trial = trial, .user = user, .best = best, .score = score};
    s.point = calloc((size_t)config->n, sizeof *s.point);
    if (config->trials)
        s.draws = ad_tensor_new(NULL, AD_F64, 1, (const int64_t[]){config->n});
    if (s.point && (s.draws || !config->trials))
        status = run_trials(&s, trials, points, scores, error);
    else
        status = nn_no_memory(error);
    ad_tensor_free(s.draws);
    free(s.point);
    return status;
}
