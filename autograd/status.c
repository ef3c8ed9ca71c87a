/* status.c - names of statuses and dtypes, and the version */
#include "ad.h"

const char *ad_status_name(ad_status status)
{
    static const char *const names[] = {
        "AD_OK",        "AD_NO_MEMORY",  "AD_NULL",       "AD_STALE",     "AD_FOREIGN",
        "AD_BAD_SHAPE", "AD_BAD_AXIS",   "AD_BAD_DTYPE",  "AD_BAD_INDEX", "AD_BAD_ARGUMENT",
        "AD_TOO_LARGE", "AD_MODIFIED",   "AD_NOT_FINITE", "AD_RETAPE",    "AD_NOT_RECORDED",
        "AD_MISMATCH",  "AD_UNAVAILABLE"};
    _Static_assert(sizeof names / sizeof *names == AD_STATUS_COUNT, "a name for each status");
    return (unsigned)status < AD_STATUS_COUNT ? names[status] : "unknown status";
}

const char *ad_version(void) { return AD_VERSION; }

const char *ad_dtype_name(ad_dtype dtype)
{
    static const char *const names[] = {"double", "float", "int32"};
    return (unsigned)dtype <= AD_I32 ? names[dtype] : "unknown dtype";
}

size_t ad_dtype_size(ad_dtype dtype)
{
    return dtype == AD_F64 ? 8 : (unsigned)dtype <= AD_I32 ? 4 : 0;
}
