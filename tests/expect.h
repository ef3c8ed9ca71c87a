/* expect.h - expectations that say what was got and wanted, and where the call under test stands */
#ifndef EXPECT_H
#define EXPECT_H
#include "ad.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

static inline void equal_at(double got, double want, const char *what, int line)
{
    if (got == want || (isnan(got) && isnan(want)))
        return;
    fail_msg("line %d: %s: got %.17g, want %.17g", line, what, got, want);
}

static inline void close_at(double got, double want, const char *what, int line)
{
    if (!(fabs(got - want) <= 1e-14 * fabs(want)))
        fail_msg("line %d: %s: got %.17g, want %.17g", line, what, got, want);
}

static inline void status_at(ad_status got, ad_status want, const char *text, const char *what,
                             int line)
{
    if (got != want)
        fail_msg("line %d: %s: got %s (%s), want %s", line, what, ad_status_name(got), text,
                 ad_status_name(want));
}

static inline void contains_at(const char *text, const char *part, int line)
{
    if (*part && !strstr(text, part)) /* "": built without source sites */
        fail_msg("line %d: got \"%s\", want \"%s\" in it", line, text, part);
}

/* a test that gets a fresh tape as its state */
static inline int fresh_tape(void **state)
{
    *state = ad_tape_new(NULL);
    return *state ? 0 : -1;
}

static inline int free_tape(void **state)
{
    ad_tape_free(*state);
    return 0;
}

#define ON_A_TAPE(test) cmocka_unit_test_setup_teardown(test, fresh_tape, free_tape)

#define EQUAL(got, want)     equal_at(got, want, #got, __LINE__)
#define CLOSE(got, want)     close_at(got, want, #got, __LINE__)
#define STATUS(got, want, t) status_at(got, want, ad_tape_error(t), #got, __LINE__)
#define RAN(got, want, w)    status_at(got, want, ad_workspace_error(w), #got, __LINE__)
#define CONTAINS(text, part) contains_at(text, part, __LINE__)
/* the site that the line it stands on leaves on the tape */
#define TEXT_OF(x)   #x
#define LINE_TEXT(x) TEXT_OF(x)
#ifdef AD_NO_SITES
#define HERE ""
#else
#define HERE __FILE__ ":" LINE_TEXT(__LINE__)
#endif
/* keeps HERE and the call after it on one line, which the formatter would part */
#define ONE_LINE(...) __VA_ARGS__

#endif
