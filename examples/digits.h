/* digits.h - a network that learns handwritten digits: the data, the model, its training */
#ifndef DIGITS_H
#define DIGITS_H
#include <stdbool.h>
#include <stdint.h>

#include <tapegrad/ad.h>

enum { MAX_EPOCHS = 200 };

typedef struct digits {
    int64_t n;
    ad_tensor *pixels; /* (n,64) float, from 0 to 1 */
    ad_tensor *labels; /* (n) int32, from 0 to 9 */
} digits;

/* Reads the file; false, with what is wrong in `error`, if it cannot be used. */
bool digits_read(digits *all, const char *path, char error[512]);
/* Draws without replacement: four fifths for training, the rest for the test. */
bool digits_split(const digits *all, uint64_t seed, digits *train, digits *test);
void digits_free(digits *d);

typedef struct history { /* of one run, epoch by epoch */
    int epochs;
    double loss[MAX_EPOCHS];     /* mean over the training examples, as they were met */
    double accuracy[MAX_EPOCHS]; /* on the test set, in percent */
    int64_t nodes;               /* of the training step's program */
    int64_t weights;
} history;

typedef void digits_progress(void *user, const history *h);

/* Trains a 64-64-32-10 network from the seed's own initial weights and calls `progress` after each
 * epoch. */
bool digits_train(const digits *train, const digits *test, uint64_t seed, int epochs, history *h,
                  digits_progress *progress, void *user, char error[512]);

#endif
