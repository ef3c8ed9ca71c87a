/* error.h - the first error of a chain of calls */
#ifndef NN_ERROR_H
#define NN_ERROR_H
#include "nn.h"

/* Keeps the first error only; gives `status` back. error may be NULL. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
ad_status
nn_fail(nn_error *error, ad_status status, const char *format, ...);
/* AD_NO_MEMORY, with the words for it. */
ad_status nn_no_memory(nn_error *error);
/* An error that an earlier call left; AD_OK where there is none. Every public call begins with it.
 */
ad_status nn_earlier(const nn_error *error);
/* Where a call needs to keep an error even if its caller does not: `error`, or the given one. */
nn_error *nn_error_or(nn_error *error, nn_error *own);

#endif
