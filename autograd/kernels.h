/* kernels.h - array loops and other kernels, compiled once for each instruction set
 *
 * One binary runs on every processor of an architecture and uses what the one at hand has. A set is
 * a table of functions, looked up when it is needed: there is nothing to initialise. The loops of
 * all sets give the same bits. */
#ifndef KERNELS_H
#define KERNELS_H
#include "ad.h"
#include "products.h"

/* Loops go over whole blocks, of one vector each. */
enum { KERNELS_BLOCK_MOST = 64 };
typedef void map_loop(int64_t blocks, const void *a, const void *b, const void *c, void *y);
typedef void cotangent_loop(int64_t blocks, const void *g, const void *a, const void *b,
                            const void *c, const void *y, void *out);

/* Expressions of rows in one loop; see compounds.def. n elements of vectors v and numbers s; a
 * result may be where one of the vectors is. */
enum {
#define COMPOUND1(name, ...) COMPOUND_##name,
#define COMPOUND2            COMPOUND1
#define COMPOUND3            COMPOUND1
#include "compounds.def"
    COMPOUNDS,
    COMPOUND_VECTORS = 4,
    COMPOUND_SCALARS = 7,
    COMPOUND_RESULTS = 3
};
typedef void compound_loop(int64_t n, const void *const *v, const double *s, void *const *y);

typedef struct kernels {
    const char *name;    /* as ad_context_kernels gives it */
    int64_t block_bytes; /* KERNELS_BLOCK_MOST at most */
    const product_kernels *products;
    struct {
        map_loop *map[2]; /* by dtype AD_F64, AD_F32 */
        cotangent_loop *cotangent[3][2];
    } ops[AD_OP_COUNT_];
    compound_loop *compounds[COMPOUNDS][2];
} kernels;

/* The set that a context uses. */
const kernels *kernels_of(const ad_context *context);
/* One set by its name; NULL where this build or processor lacks it. */
const kernels *kernels_available(ad_kernels which);

/* y <- the row's value of n elements, each array contiguous, in float or double. b and c may be
 * NULL where the row has no such argument; y overlaps none of the others. */
void kernels_map(const kernels *set, int op, ad_dtype dtype, int64_t n, const void *a,
                 const void *b, const void *c, void *y);
/* out <- the cotangent of argument k, given g, that of the value y; out overlaps none of the
 * others. */
void kernels_cotangent(const kernels *set, int op, int k, ad_dtype dtype, int64_t n, const void *g,
                       const void *a, const void *b, const void *c, const void *y, void *out);

/* Sets beyond the baseline. The library whose rules are made wrong on purpose has none: it is to
 * be built quickly. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(AD_MUTATION)
#define KERNELS_X86 1
extern const kernels kernels_avx2, kernels_avx512;
#else
#define KERNELS_X86 0
#endif
extern const kernels kernels_baseline;

#endif
