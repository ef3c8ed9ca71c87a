/* number.c - numbers read and written the same in every locale */
#define _POSIX_C_SOURCE 200809L
#include "number.h"

#include <locale.h>

#if defined(__APPLE__)
#include <xlocale.h>
#endif

bool nn_c_numbers(nn_numbers *numbers)
{
    numbers->c = (void *)newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    if (!numbers->c)
        return false;
    numbers->own = (void *)uselocale((locale_t)numbers->c);
    return true;
}

void nn_own_numbers(nn_numbers *numbers)
{
    uselocale((locale_t)numbers->own);
    freelocale((locale_t)numbers->c);
}
