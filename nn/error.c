/* error.c - the first error of a chain of calls */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

ad_status nn_fail(nn_error *error, ad_status status, const char *format, ...)
{
    if (error && !error->status) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
        error->status = status;
    }
    return status;
}

ad_status nn_no_memory(nn_error *error) { return nn_fail(error, AD_NO_MEMORY, "out of memory"); }

ad_status nn_earlier(const nn_error *error) { return error ? error->status : AD_OK; }

nn_error *nn_error_or(nn_error *error, nn_error *own)
{
    *own = (nn_error){0};
    return error ? error : own;
}
