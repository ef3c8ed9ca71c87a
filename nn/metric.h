/* metric.h - scores of rows wherever they lie, in memory that is used again */
#ifndef NN_METRIC_H
#define NN_METRIC_H
#include "targets.h"

/* Memory of a call that the next one uses again; {0} is none yet. */
typedef struct nn_scratch {
    void *memory;
    size_t bytes;
} nn_scratch;

/* At least so many bytes, in place of what was there; false when out of memory. */
bool nn_scratch_take(nn_scratch *scratch, size_t bytes);
void nn_scratch_free(nn_scratch *scratch);

/* What metrics of n rows with so many outputs each need of it. SIZE_MAX: more than there can be. */
size_t nn_scores_bytes(unsigned metrics, int64_t n, int64_t outputs);
/* nn_compute_scores of rows of equal number; weights NULL: all alike. Allocates nothing but that.
 */
ad_status nn_scores_of_rows(const nn_rows *prediction, const nn_rows *target,
                            const nn_rows *weights, unsigned metrics, int k, bool probabilities,
                            nn_scratch *scratch, nn_scores *scores, nn_error *error);

#endif
