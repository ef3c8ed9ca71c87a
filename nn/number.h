/* number.h - numbers read and written the same in every locale
 *
 * printf and strtod follow the locale of the process. Between nn_c_numbers and nn_own_numbers this
 * thread has the C locale, whatever the others do. */
#ifndef NN_NUMBER_H
#define NN_NUMBER_H
#include <stdbool.h>
#include <stddef.h>

typedef struct nn_numbers {
    void *c, *own;
} nn_numbers;

/* false when out of memory; then nn_own_numbers must not be called. */
bool nn_c_numbers(nn_numbers *numbers);
void nn_own_numbers(nn_numbers *numbers);

#endif
