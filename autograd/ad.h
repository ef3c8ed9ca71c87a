/* ad.h - Tapegrad: reverse-mode automatic differentiation for C
 *
 * A tape records operations on scalars and tensors as they are computed; the same program is then
 * replayed: forward at new inputs, backward for gradients, over duals for tangents, or backward
 * onto the tape itself for derivatives of any order.
 *
 *     #include <tapegrad/ad.h>
 *
 *     ad_tape *t = ad_tape_new(NULL);
 *     ad_var x1 = ad_input(t, 2.0), x2 = ad_input(t, 5.0);
 *     ad_var y = ad_add(ad_mul(x1, x2), ad_sin(x1));
 *     ad_status s = ad_backward(y);          // ad_value(y) = 10.909297...
 *     double g1 = ad_grad(x1);               // 4.583853...
 *     double g2 = ad_grad(x2);               // 2
 *     ad_tape_free(t);
 *
 * MODEL.     A variable (ad_var) is 16 bytes by value: a node of a tape, or a constant. A scalar
 * node is a double; a tensor node has a shape and a dtype. All operations take both, and broadcast
 * as NumPy does. A scalar never changes a tensor's dtype; float meets double only after ad_cast.
 * OWNERSHIP. A tape owns its nodes and everything computed on it; ad_tape_free, ad_reset and
 * ad_rewind release them. Tensors (ad_tensor) are reference counted and live outside tapes:
 * ad_tensor_new gives one reference, ad_tensor_free drops one. Functions that take a tensor copy
 * it, unless they say that they borrow it. Strings given as names are copied. ERRORS.    Expression
 * code need not check each call. The first error is kept on the tape: operations after it do
 * nothing, values read as NaN, ad_backward and every other closing call return the status,
 * ad_tape_error gives the text. ad_reset clears it. Nothing here aborts or prints. THREADS.   One
 * thread at a time for a tape or a workspace; any number of tapes, and of workspaces of one
 *            program, at once. There is no hidden state.
 * ORDER.     C does not say in which order arguments are evaluated. Under gcc and clang the names
 * below are macros over functions of the same name, which record from left to right, pass the
 * source line to the tape, and accept numbers for variables: ad_mul(2, x). Define AD_PLAIN before
 * including to have the plain functions only; define AD_NO_SITES to leave the source lines out. A
 * compound literal with a comma can be the last argument of these macros; elsewhere, in
 * parentheses. */
#ifndef TAPEGRAD_AD_H
#define TAPEGRAD_AD_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifndef AD_API
#if defined(__GNUC__)
#define AD_API __attribute__((visibility("default")))
#else
#define AD_API
#endif
#endif

#define AD_VERSION_MAJOR 0
#define AD_VERSION_MINOR 1
#define AD_VERSION_PATCH 0
#define AD_VERSION       "0.1.0"

#define AD_MAX_RANK  8          /* tensors have at most so many axes */
#define AD_MAX_NODES (1u << 28) /* a tape has at most so many nodes */

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status ------------------------------------------------------------------------------------
 */

typedef enum ad_status {
    AD_OK = 0,
    AD_NO_MEMORY,    /* an allocation failed */
    AD_NULL,         /* a null handle or pointer */
    AD_STALE,        /* a handle older than a rewind or reset that removed its node */
    AD_FOREIGN,      /* handles of two tapes in one operation */
    AD_BAD_SHAPE,    /* shapes that do not fit, or too many axes */
    AD_BAD_AXIS,     /* an axis out of range, or named twice */
    AD_BAD_DTYPE,    /* an element type that does not fit */
    AD_BAD_INDEX,    /* an index out of range */
    AD_BAD_ARGUMENT, /* any other argument that cannot be used */
    AD_TOO_LARGE,    /* a size that overflows, or a full tape */
    AD_MODIFIED,     /* a borrowed tensor was written after it was recorded */
    AD_NOT_FINITE,   /* a NaN or infinity while the check is on */
    AD_RETAPE,       /* a recorded comparison came out differently: record again */
    AD_NOT_RECORDED, /* something asked of a node that the sweep did not keep or the program lacks
                      */
    AD_MISMATCH,     /* a gradient check found a disagreement */
    AD_UNAVAILABLE,  /* something that this machine lacks */
    AD_STATUS_COUNT
} ad_status;

/* The name of a status, such as "AD_BAD_SHAPE"; "unknown status" for any other number. */
AD_API const char *ad_status_name(ad_status status);
/* The version of the library in use, such as "0.1.0". */
AD_API const char *ad_version(void);

/* ---- context -----------------------------------------------------------------------------------
 */

/* Where memory comes from. allocate and release are as malloc and free, with the size told to both.
 * reserve takes address space without memory, commit turns its first `bytes` into memory (called
 * with growing sizes), and unreserve gives all back; leave the three NULL where address space
 * cannot be reserved: then a growing tape copies its nodes. All may be called from several threads
 * at once. */
typedef struct ad_allocator {
    void *(*allocate)(void *user, size_t bytes);
    void (*release)(void *user, void *memory, size_t bytes);
    void *(*reserve)(void *user, size_t bytes);
    bool (*commit)(void *user, void *memory, size_t bytes);
    void (*unreserve)(void *user, void *memory, size_t bytes);
    void *user;
} ad_allocator;

/* Instruction sets that array loops and products are compiled for. What the processor or the build
 * lacks is replaced by the best below it. */
typedef enum ad_kernels {
    AD_KERNELS_BEST = 0, /* the best that the processor has */
    AD_KERNELS_BASELINE, /* what every processor of the architecture has */
    AD_KERNELS_AVX2,     /* x86-64 with AVX2 and FMA */
    AD_KERNELS_AVX512    /* x86-64 with AVX-512 F, BW, DQ and VL */
} ad_kernels;

typedef struct ad_context ad_context;
typedef struct ad_context_config {
    const ad_allocator *allocator; /* NULL: malloc and, where there is one, virtual memory */
    bool check_finite;      /* every operation is checked: the first NaN or infinity is an error */
    bool checksum_borrowed; /* replays also detect raw writes to borrowed tensors */
    ad_kernels kernels;     /* the instruction sets that may be used */
    int threads; /* that large operations may use, the caller's among them; 0 and 1: no others.
                  * Results do not depend on it. */
} ad_context_config;

/* A context; NULL when out of memory. It must outlive what is made with it. Threads that the system
 * refuses are done without. Wherever a context is
 * asked for, NULL means the default: malloc, no checks. */
AD_API ad_context *ad_context_new(const ad_context_config *config);
AD_API void ad_context_free(ad_context *context);
/* The kernels in use: "baseline", "avx2" or "avx512". */
AD_API const char *ad_context_kernels(const ad_context *context);
/* The allocator that a NULL config means, for wrapping. */
AD_API ad_allocator ad_default_allocator(void);

/* ---- tensors -----------------------------------------------------------------------------------
 */

typedef enum ad_dtype { AD_F64 = 0, AD_F32, AD_I32 } ad_dtype;
AD_API const char *ad_dtype_name(ad_dtype dtype); /* "double", "float", "int32" */
AD_API size_t ad_dtype_size(ad_dtype dtype);      /* in bytes */

typedef struct ad_tensor ad_tensor;

/* A tensor of zeros, row-major; rank 0 is one element. NULL on a bad shape or out of memory. */
AD_API ad_tensor *ad_tensor_new(const ad_context *context, ad_dtype dtype, int rank,
                                const int64_t *shape);
/* The same, holding a copy of `data`, elements in row-major order. */
AD_API ad_tensor *ad_tensor_from(const ad_context *context, ad_dtype dtype, int rank,
                                 const int64_t *shape, const void *data);
AD_API ad_tensor *
ad_tensor_retain(ad_tensor *tensor);           /* one more reference; gives its argument back */
AD_API void ad_tensor_free(ad_tensor *tensor); /* one reference less; NULL is fine */

/* Views share the storage (and its version) of the tensor they are made from and hold a reference
 * to it. NULL when the arguments do not fit. `step` may be negative. */
AD_API ad_tensor *ad_tensor_permuted(ad_tensor *tensor, const int *axes);
AD_API ad_tensor *ad_tensor_sliced(ad_tensor *tensor, int axis, int64_t start, int64_t stop,
                                   int64_t step);

AD_API ad_dtype ad_tensor_dtype(const ad_tensor *tensor);
AD_API int ad_tensor_rank(const ad_tensor *tensor);
AD_API const int64_t *ad_tensor_shape(const ad_tensor *tensor);
AD_API const int64_t *ad_tensor_strides(const ad_tensor *tensor); /* in elements */
AD_API int64_t ad_tensor_size(const ad_tensor *tensor);           /* number of elements */
AD_API uint64_t
ad_tensor_version(const ad_tensor *tensor); /* raised by every write through the API */
/* The first element. Writing through ad_tensor_data counts as a write when the pointer is taken. */
AD_API void *ad_tensor_data(ad_tensor *tensor);
AD_API const void *ad_tensor_data_const(const ad_tensor *tensor);
/* One element by its index along each axis; NaN, or AD_BAD_INDEX, when out of range. */
AD_API double ad_tensor_get(const ad_tensor *tensor, const int64_t *index);
AD_API ad_status ad_tensor_set(ad_tensor *tensor, const int64_t *index, double value);
/* All elements in row-major order, converted to and from double. */
AD_API ad_status ad_tensor_read(const ad_tensor *tensor, double *out);
AD_API ad_status ad_tensor_write(ad_tensor *tensor, const double *values);
AD_API ad_status ad_tensor_fill(ad_tensor *tensor, double value);
AD_API ad_status ad_tensor_copy(ad_tensor *to, const ad_tensor *from); /* same shape and dtype */

/* A parameter: a named tensor that models own and tapes refer to. Its gradient belongs to the tape
 * or workspace that computed it. A parameter that is not trainable holds state (running statistics,
 * moments). */
typedef struct ad_param ad_param;
/* Takes over the caller's reference to `value`. NULL (and `value` released) when out of memory. */
AD_API ad_param *ad_param_new(const char *name, ad_tensor *value, bool trainable);
AD_API void ad_param_free(ad_param *param);
AD_API const char *ad_param_name(const ad_param *param);
AD_API ad_tensor *ad_param_value(const ad_param *param); /* borrowed */
AD_API bool ad_param_trainable(const ad_param *param);
AD_API void ad_param_set_trainable(ad_param *param, bool trainable);

/* ---- tape --------------------------------------------------------------------------------------
 */

typedef struct ad_tape ad_tape;

/* A variable: node of a tape, or constant. {0} is null and always an error. Treat as opaque. */
typedef struct ad_var {
    ad_tape *tape;
    union {
        struct {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
            uint32_t epoch, id;
#else
            uint32_t id, epoch;
#endif
        } node;
        double constant;
        uint64_t bits; /* id in the low half, epoch in the high one */
    } u;
} ad_var;

typedef struct ad_mark {
    uint32_t nodes, epoch;
} ad_mark;

/* A tape; never NULL: out of memory gives a dead tape, on which every operation reports
 * AD_NO_MEMORY. */
AD_API ad_tape *ad_tape_new(const ad_context *context);
/* A tape for more operations than fit into memory: nodes and source lines go to a file in `folder`,
 * without a name and gone with the tape or the process, as they are recorded, and ad_backward reads
 * them backwards. About `bytes` of memory are used for that (0: 256 MiB); what tensors hold, and
 * adjoints where they are not zero, come on top. A folder that cannot be used is the tape's first
 * error (AD_BAD_ARGUMENT), after which ad_reset makes it a tape in memory; a full disk is an error
 * where it is met (AD_NO_MEMORY). Replays other than backward passes read the file as the system
 * does, and ad_backward_keep has all adjoints in memory. */
AD_API ad_tape *ad_tape_new_in(const ad_context *context, const char *folder, int64_t bytes);
AD_API void ad_tape_free(ad_tape *tape);
/* Removes all nodes, and the error; keeps the memory. O(1) in the number of nodes. */
AD_API void ad_reset(ad_tape *tape);
/* Marks the present end of the tape; ad_rewind removes what was recorded since (an error is kept).
 */
AD_API ad_mark ad_mark_here(const ad_tape *tape);
AD_API ad_status ad_rewind(ad_tape *tape, ad_mark mark);
/* Between ad_pause and ad_resume (they nest) operations compute but do not record: results are
 * constants. */
AD_API void ad_pause(ad_tape *tape);
AD_API void ad_resume(ad_tape *tape);
/* From here until ad_reset what comes from tensors is recorded without being computed, and takes no
 * memory for its values: for a tape that will be captured or compiled, and not looked at. Who does
 * look - at a value, by a comparison, a backward pass - has all of it computed then, at once, at
 * the values that leaves have by then; what cannot be computed (an index out of range) is an error
 * then. A context that checks for NaN computes everything as it is recorded. */
AD_API void ad_defer(ad_tape *tape);
/* Names a layer or phase: nodes recorded until the matching pop carry the path of open scopes. */
AD_API void ad_scope_push(ad_tape *tape, const char *name);
AD_API void ad_scope_pop(ad_tape *tape);
/* The seed and step number on which random operations draw; both 0 at first. */
AD_API void ad_seed(ad_tape *tape, uint64_t seed);
AD_API void ad_set_step(ad_tape *tape, uint64_t step);

AD_API ad_status ad_tape_status(const ad_tape *tape);
/* The first error's text, such as
 * "matmul: (3,4) x (5,2): inner dimensions 4 and 5 differ (node 7, model.c:42)"; "" where there is
 * none. */
AD_API const char *ad_tape_error(const ad_tape *tape);
/* Leaves an error of one's own on the tape, for functions built of operations: what was wrong,
 * where, and what to do. Gives the handle of a failed operation, to be returned. AD_OK is not an
 * error: it becomes AD_BAD_ARGUMENT. */
AD_API ad_var ad_fail(ad_tape *tape, ad_status status, const char *text);

/* ---- leaves ------------------------------------------------------------------------------------
 */

/* An independent scalar, for which gradients are wanted. */
AD_API ad_var ad_input(ad_tape *tape, double value);
/* n of them, recorded one after the other: inputs[i] has values[i]. Returns the tape's status;
 * AD_NULL for a null pointer or a negative n. */
AD_API ad_status ad_input_n(ad_tape *tape, int64_t n, const double *values, ad_var *inputs);
/* A scalar constant, of no tape. */
AD_API ad_var ad_constant(double value);
/* A tensor input, or a tensor without gradient, copied from `data` (row-major). AD_I32 has no
 * gradient. */
AD_API ad_var ad_input_array(ad_tape *tape, ad_dtype dtype, int rank, const int64_t *shape,
                             const void *data);
AD_API ad_var ad_constant_array(ad_tape *tape, ad_dtype dtype, int rank, const int64_t *shape,
                                const void *data);
/* The same from a tensor. A tensor may be a strided view. */
AD_API ad_var ad_input_tensor(ad_tape *tape, const ad_tensor *value);
AD_API ad_var ad_constant_tensor(ad_tape *tape, const ad_tensor *value);
/* An input that borrows the tensor's memory until reset or rewind (holding a reference). Writing it
 * through the API in between makes the next replay fail with AD_MODIFIED. A program that is made of
 * the tape reads it where it lies as well, as it is then, until a workspace is given another; one
 * that is not contiguous it copies. */
AD_API ad_var ad_bind(ad_tape *tape, ad_tensor *value);
/* A parameter's leaf, borrowed likewise; the same node each time it is asked for on one tape. It
 * needs a gradient if the parameter is trainable. */
AD_API ad_var ad_use(ad_tape *tape, ad_param *param);
/* The same value, through which no gradient flows. */
AD_API ad_var ad_stop_gradient(ad_var a);
/* Records that, when a program made of this tape runs, or at ad_commit, `state`'s parameter becomes
 * `value`, after all reads. `state` must be the handle of ad_use. Recording itself changes nothing.
 */
AD_API ad_status ad_assign(ad_var state, ad_var value);
AD_API ad_status ad_commit(ad_tape *tape);

/* ---- reading -----------------------------------------------------------------------------------
 */

/* A scalar's value (also that of a tensor of one element); NaN on error. */
AD_API double ad_value(ad_var a);
/* dtype, rank (0: scalar), shape and number of elements; -1 or NULL on error. */
AD_API int ad_rank(ad_var a);
AD_API int64_t ad_size(ad_var a);
AD_API ad_dtype ad_dtype_of(ad_var a);
AD_API const int64_t *ad_shape(ad_var a); /* valid until the node is removed */
AD_API bool ad_is_tensor(ad_var a);
/* All elements in row-major order as doubles; as a new tensor (NULL on error). */
AD_API ad_status ad_read(ad_var a, double *out);
AD_API ad_tensor *ad_read_tensor(ad_var a);
/* The adjoint left by the last backward pass, for inputs, parameters and retained nodes (all nodes
 * after ad_backward_keep); 0 where the output does not depend on it; NaN on error. */
AD_API double ad_grad(ad_var a);
AD_API ad_status ad_grad_read(ad_var a, double *out);
/* The same of n scalars: out[i] = ad_grad(x[i]). Returns the first error. */
AD_API ad_status ad_grad_n(int64_t n, const ad_var *x, double *out);
AD_API ad_tensor *ad_grad_tensor(ad_var a);

/* ---- replays -----------------------------------------------------------------------------------
 */

/* Backward from a scalar (or a tensor of one element). Twice gives the same gradients, not their
 * double. */
AD_API ad_status ad_backward(ad_var y);
/* The same, adding to the gradients that inputs and parameters have already. */
AD_API ad_status ad_backward_add(ad_var y);
/* The same, keeping every node's adjoint. */
AD_API ad_status ad_backward_keep(ad_var y);
/* Vector-Jacobian product: backward from several outputs with given seeds. seeds[i] has the
 * elements of outputs[i], row-major; NULL means all ones. */
AD_API ad_status ad_vjp(int n, const ad_var *outputs, const double *const *seeds);
/* Asks that an intermediate node's adjoint be kept by backward passes. */
AD_API ad_status ad_retain(ad_var a);

/* Changes an input's value; ad_replay then recomputes all nodes. AD_RETAPE when a recorded
 * comparison came out differently. */
AD_API ad_status ad_set(ad_var input, double value);
AD_API ad_status ad_set_array(ad_var input, const double *values);
AD_API ad_status ad_replay(ad_tape *tape);

/* Forward over duals: Jacobian-vector products in `directions` directions at once. tangents[i]
 * holds, for inputs[i], direction after direction, its elements; results[j] likewise for
 * outputs[j]. Inputs may be any nodes; those not named have tangent 0. */
AD_API ad_status ad_jvp(int n_inputs, const ad_var *inputs, const double *const *tangents,
                        int n_outputs, const ad_var *outputs, double *const *results,
                        int directions);

/* Backward, recorded: the gradients of y as variables of the same tape, differentiable again. For a
 * tensor y the gradient of its sum. ad_gradients shares the work between several x. */
AD_API ad_var ad_grad_of(ad_var y, ad_var x);
AD_API ad_status ad_gradients(ad_var y, int n, const ad_var *x, ad_var *gradients);
/* The same for several outputs with cotangents that are variables themselves (null: ones). */
AD_API ad_status ad_gradients_seeded(int m, const ad_var *y, const ad_var *cotangents, int n,
                                     const ad_var *x, ad_var *gradients);

/* Hessian-vector product of a scalar y: products[i] = sum_j d2y/dx_i dx_j v_j, backward over duals.
 */
AD_API ad_status ad_hvp(ad_var y, int n, const ad_var *x, const double *const *v,
                        double *const *products);

/* ---- derivatives of functions, without touching a tape ------------------------------------------
 */

/* A function of n variables, written as expression code; returns one variable. */
typedef ad_var (*ad_function)(const ad_var *x, void *user);
/* A function with m outputs, which it writes to y. */
typedef void (*ad_functions)(const ad_var *x, ad_var *y, void *user);

/* Gradient of a scalar function; *value may be asked for too (NULL: not). */
AD_API ad_status ad_gradient(ad_function f, void *user, int n, const double *x, double *gradient);
AD_API ad_status ad_value_and_gradient(ad_function f, void *user, int n, const double *x,
                                       double *value, double *gradient);
/* Jacobian, row-major m x n; forward or backward, whichever is shorter. */
AD_API ad_status ad_jacobian(ad_functions f, void *user, int n, const double *x, int m,
                             double *jacobian);
/* Hessian, n x n, symmetric; by Hessian-vector products. */
AD_API ad_status ad_hessian(ad_function f, void *user, int n, const double *x, double *hessian);

/* ---- guards ------------------------------------------------------------------------------------
 */

/* Comparisons of scalars for C's own `if`: they leave a guard on the tape, and a replay in which
 * the comparison would come out differently returns AD_RETAPE. false on error. For masks that
 * select element by element see ad_less and ad_where. */
AD_API bool ad_lt(ad_var a, ad_var b);
AD_API bool ad_le(ad_var a, ad_var b);
AD_API bool ad_gt(ad_var a, ad_var b);
AD_API bool ad_ge(ad_var a, ad_var b);
AD_API bool ad_eq(ad_var a, ad_var b);
AD_API bool ad_ne(ad_var a, ad_var b);

/* ---- structured operations ----------------------------------------------------------------------
 */
/* Axes count from 0; negative ones from the end. Shapes are written (2,3). */

/* Products. matmul: (...,m,k) x (...,k,n) -> (...,m,n), leading axes broadcast; a vector stands for
 * a row on the left, a column on the right. dot: (n) x (n) -> scalar. outer: (m) x (n) -> (m,n). */
AD_API ad_var ad_matmul(ad_var a, ad_var b);
AD_API ad_var ad_dot(ad_var a, ad_var b);
AD_API ad_var ad_outer(ad_var a, ad_var b);

/* Reductions over all elements (to a scalar in double) or over some axes. keep leaves reduced axes
 * with size 1. Of equal extremes the first gets the gradient. var and std divide by n - correction.
 */
AD_API ad_var ad_sum(ad_var a);
AD_API ad_var ad_mean(ad_var a);
AD_API ad_var ad_prod(ad_var a);
AD_API ad_var ad_amax(ad_var a);
AD_API ad_var ad_amin(ad_var a);
AD_API ad_var
ad_norm(ad_var a); /* square root of the sum of squares, without overflow; derivative 0 at 0 */
AD_API ad_var ad_logsumexp(ad_var a);
AD_API ad_var ad_var_of(ad_var a, int correction);
AD_API ad_var ad_std(ad_var a, int correction);
AD_API ad_var ad_sum_axes(ad_var a, int n, const int *axes, bool keep);
AD_API ad_var ad_mean_axes(ad_var a, int n, const int *axes, bool keep);
AD_API ad_var ad_prod_axes(ad_var a, int n, const int *axes, bool keep);
AD_API ad_var ad_amax_axes(ad_var a, int n, const int *axes, bool keep);
AD_API ad_var ad_amin_axes(ad_var a, int n, const int *axes, bool keep);
AD_API ad_var ad_norm_axes(ad_var a, int n, const int *axes, bool keep);
AD_API ad_var ad_logsumexp_axes(ad_var a, int n, const int *axes, bool keep);
AD_API ad_var ad_var_axes(ad_var a, int n, const int *axes, bool keep, int correction);
AD_API ad_var ad_std_axes(ad_var a, int n, const int *axes, bool keep, int correction);
/* Index of the (first) extreme along an axis, int32, without gradient. */
AD_API ad_var ad_argmax(ad_var a, int axis);
AD_API ad_var ad_argmin(ad_var a, int axis);
/* Running sums and products along an axis. */
AD_API ad_var ad_cumsum(ad_var a, int axis);
AD_API ad_var ad_cumprod(ad_var a, int axis);
/* Sum of n variables of one shape (or that broadcast); product likewise. A sum of scalars is one
 * node. */
AD_API ad_var ad_sum_n(int n, const ad_var *terms);
AD_API ad_var ad_prod_n(int n, const ad_var *factors);

/* Arrays of n scalars, recorded as one node each: what would be 2 n operations costs little more
 * than the two loops over numbers. Constants may stand among the variables, a variable may occur
 * more than once, and n may be 0. Fastest for variables that were recorded one after the other, as
 * by ad_input_n. A tensor among them is an error (AD_BAD_SHAPE), a null pointer AD_NULL. Terms are
 * added up four at a time, so that a sum may differ from one written out in its last digits.
 *     dot_n         a[0] b[0] + ... + a[n-1] b[n-1]; dot_add_n: the same plus start
 *     affine_n      b + w[0] x[0] + ... + w[n-1] x[n-1] with numbers w, which are copied
 *     norm_n        square root of the sum of squares, without overflow; derivative 0 at 0
 *     polynomial_n  p[0] + p[1] x + ... + p[n-1] x^(n-1); horner_n: the same with numbers, which
 *                   are copied */
AD_API ad_var ad_dot_n(int64_t n, const ad_var *a, const ad_var *b);
AD_API ad_var ad_dot_add_n(int64_t n, const ad_var *a, const ad_var *b, ad_var start);
AD_API ad_var ad_affine_n(int64_t n, const double *w, const ad_var *x, double b);
AD_API ad_var ad_norm_n(int64_t n, const ad_var *x);
AD_API ad_var ad_polynomial_n(int64_t n, const ad_var *p, ad_var x);
AD_API ad_var ad_horner_n(int64_t n, const double *p, ad_var x);
/* out[i] = a x[i] + y[i], two nodes each; out may be x or y. Returns the tape's status. */
AD_API ad_status ad_axpy_n(int64_t n, ad_var a, const ad_var *x, const ad_var *y, ad_var *out);

/* Movement. One size in reshape may be -1. Views where strides allow, without copying. */
AD_API ad_var ad_reshape(ad_var a, int rank, const int64_t *shape);
AD_API ad_var ad_permute(ad_var a, const int *axes);
AD_API ad_var ad_transpose(ad_var a); /* the last two axes */
AD_API ad_var ad_expand(ad_var a, int rank, const int64_t *shape);
AD_API ad_var ad_slice(ad_var a, int axis, int64_t start, int64_t stop, int64_t step);
AD_API ad_var ad_flip(ad_var a, int axis);
AD_API ad_var ad_repeat(ad_var a, int axis,
                        int64_t times); /* the whole, `times` times along the axis */
AD_API ad_var ad_concat(int n, const ad_var *parts, int axis);
/* Joins along a new axis; scalars to a vector of doubles. */
AD_API ad_var ad_stack(int n, const ad_var *parts, int axis);
/* Cuts along an axis into n equal parts, written to parts. */
AD_API ad_status ad_split(ad_var a, int n, int axis, ad_var *parts);
/* before[i] and after[i] elements of `value` around axis i. */
AD_API ad_var ad_pad(ad_var a, const int64_t *before, const int64_t *after, double value);
AD_API ad_var ad_tril(ad_var a, int diagonal); /* zeros above the diagonal of the last two axes */
AD_API ad_var ad_triu(ad_var a, int diagonal); /* zeros below it */
/* The diagonal of a matrix as a vector, or the matrix with a vector on its diagonal. */
AD_API ad_var ad_diag(ad_var a);
AD_API ad_var ad_trace(ad_var a); /* sum of a matrix' diagonal */
/* One element, as a scalar: index has one number for each axis. */
AD_API ad_var ad_at(ad_var a, const int64_t *index);
/* Sliding windows over the last n axes, without copying: (..., L1..Ln) -> (..., O1..On, K1..Kn),
 *     out[..., o, k] = a[..., o stride + k dilation],  O = (L - 1 - (K - 1) dilation) / stride + 1,
 * fractions dropped. size is K; NULL for stride or dilation means all ones. Gradients add up where
 * windows overlap. */
AD_API ad_var ad_windows(ad_var a, int n, const int64_t *size, const int64_t *stride,
                         const int64_t *dilation);
/* (rows, ...) and int32 indices of any shape S -> S + (...): rows of a table, along an axis. */
AD_API ad_var ad_take(ad_var a, int axis, ad_var indices);
/* out[i][j] = a[index[i][j]][j] for axis 0: indices have a's rank (PyTorch's gather). */
AD_API ad_var ad_gather(ad_var a, int axis, ad_var indices);
/* a, plus source added at indices along the axis: the transpose of gather. */
AD_API ad_var ad_scatter_add(ad_var a, int axis, ad_var indices, ad_var source);
/* float <-> double, and to int32 (towards zero, no gradient). */
AD_API ad_var ad_cast(ad_var a, ad_dtype dtype);

/* Networks. softmax and log_softmax along an axis. maxout: axis of size n*pieces -> n, the largest
 * of each `pieces` neighbours. softmax_cross_entropy: logits (N,C) and targets, either (N) int32
 * classes or (N,C) probabilities -> losses (N): logsumexp(z) sum(y) - sum(y z). */
AD_API ad_var ad_softmax(ad_var a, int axis);
AD_API ad_var ad_log_softmax(ad_var a, int axis);
AD_API ad_var ad_maxout(ad_var a, int axis, int pieces);
AD_API ad_var ad_softmax_cross_entropy(ad_var logits, ad_var targets);

/* Random tensors, without gradient: counter-based (Philox 4x32-10), so that a draw depends on the
 * tape's seed, the key and the step only - not on the order of recording, nor on threads. */
AD_API ad_var ad_random_uniform(ad_tape *tape, uint64_t key, ad_dtype dtype, int rank,
                                const int64_t *shape);
AD_API ad_var ad_random_normal(ad_tape *tape, uint64_t key, ad_dtype dtype, int rank,
                               const int64_t *shape);
AD_API ad_var ad_random_bernoulli(ad_tape *tape, uint64_t key, double p, ad_dtype dtype, int rank,
                                  const int64_t *shape);
AD_API ad_var ad_random_permutation(ad_tape *tape, uint64_t key, int32_t n);
/* The same draws outside tapes, written to a tensor. */
AD_API ad_status ad_draw_uniform(ad_tensor *to, uint64_t seed, uint64_t key, uint64_t step);
AD_API ad_status ad_draw_normal(ad_tensor *to, uint64_t seed, uint64_t key, uint64_t step);
AD_API ad_status ad_draw_bernoulli(ad_tensor *to, double p, uint64_t seed, uint64_t key,
                                   uint64_t step);
AD_API ad_status ad_draw_permutation(ad_tensor *to, uint64_t seed, uint64_t key, uint64_t step);

/* ---- a user's own operation ---------------------------------------------------------------------
 */

typedef struct ad_array { /* what a custom operation sees: contiguous doubles, row-major */
    double *data;
    int rank;
    int64_t size;
    const int64_t *shape;
} ad_array;

/* Function pointers of one operation with n arguments and one result. All values are passed as
 * doubles. adjoint gets the cotangent of y and adds to da[k].data (NULL where not needed). tangent
 * writes dy from da[k] (all present; zeros where nothing flows). adjoint or tangent may be NULL:
 * sweeps that would need it report AD_NOT_RECORDED. A function returns false to report failure.
 * `record`, where given, writes the cotangents of the arguments as variables, which makes higher
 * derivatives possible. */
typedef struct ad_operation {
    const char *name;
    bool (*value)(void *user, int n, const ad_array *a, ad_array *y);
    bool (*adjoint)(void *user, int n, const ad_array *a, const ad_array *y, const ad_array *dy,
                    ad_array *da);
    bool (*tangent)(void *user, int n, const ad_array *a, const ad_array *y, const ad_array *da,
                    ad_array *dy);
    void (*record)(void *user, int n, const ad_var *a, ad_var y, ad_var dy, ad_var *da);
} ad_operation;

/* y = operation(args): rank 0 gives a scalar, else a double tensor of the given shape. `operation`
 * and `user` must outlive the tape and programs captured from it. */
AD_API ad_var ad_call(ad_tape *tape, const ad_operation *operation, void *user, int n,
                      const ad_var *args, int rank, const int64_t *shape);

/* ---- programs -----------------------------------------------------------------------------------
 */

typedef struct ad_program ad_program;
typedef struct ad_workspace ad_workspace;

/* what a program computes, added up */
enum {
    AD_VALUES = 0,    /* the outputs */
    AD_GRADIENT = 1,  /* and the gradient of the first (a scalar) with respect to every input */
    AD_VJP = 2,       /* ad_compile only: the vector-Jacobian product for given cotangents */
    AD_JVP = 4,       /* the Jacobian-vector product in a given direction */
    AD_JACOBIAN = 8,  /* the Jacobian, row by row: of scalars only */
    AD_HVP = 16,      /* the Hessian of the first output times that direction */
    AD_NO_VALUES = 32 /* without the outputs themselves */
};

/* Captures what the outputs and the recorded assignments depend on. The inputs, scalars or tensors,
 * become slots in the order given; parameters and states are found by themselves. A tape input that
 * is not listed is an error (AD_NOT_RECORDED); constants are kept. The program is immutable and
 * shared by threads; parameters must outlive it. NULL on error, with the text on the tape. The tape
 * is not changed and may be freed. */
AD_API ad_program *ad_program_capture(ad_tape *tape, int n_inputs, const ad_var *inputs,
                                      int n_outputs, const ad_var *outputs, int flags);
AD_API void ad_program_free(ad_program *program);
AD_API int64_t ad_program_input_size(const ad_program *program, int slot);
AD_API int64_t ad_program_output_size(const ad_program *program, int slot);
AD_API int ad_program_parameter_count(const ad_program *program);
AD_API ad_param *ad_program_parameter(const ad_program *program, int slot);
AD_API int64_t ad_program_node_count(const ad_program *program);
AD_API int64_t ad_program_bytes(const ad_program *program);

/* What ad_compile does to a program, one pass after the other. */
typedef enum ad_pass {
    AD_PASS_DOTS = 1,       /* chains of a*b + ... to dot products, and these to matrix products */
    AD_PASS_DEAD = 2,       /* leaves out what nothing depends on */
    AD_PASS_FOLDING = 4,    /* computes what depends on constants only */
    AD_PASS_IDENTITIES = 8, /* a * 1, a / 1, a - 0, neg(neg(a)) */
    AD_PASS_STRENGTH = 16,  /* pow(a, 2) to a*a, divisions by powers of 2 to products */
    AD_PASS_COMMON = 32,    /* equal operations on equal operands once */
    AD_PASS_LOOPS = 64,     /* what repeats at evenly spaced addresses becomes loops */
    AD_PASS_COUNT_ = 7
} ad_pass;

typedef struct ad_compile_config {
    int want;    /* AD_GRADIENT, AD_VJP ... added up */
    int without; /* passes left out, added up: AD_PASS_DOTS ... */
    bool finite; /* supposes that no NaN or infinity occurs and that -0 may be 0: then a * 0, a - a
                    and a + 0 go as well */
} ad_compile_config;

/* Compiles what the outputs depend on, with the derivatives wanted, for running many times (NULL:
 * the outputs only). Slots of the program: first the inputs; then, for AD_VJP, a cotangent of the
 * shape of each output; then, for AD_JVP and AD_HVP, one direction of the shape of each input. Its
 * outputs: those given, then the gradient (a slot for each input), the vector-Jacobian product
 * (likewise), the Jacobian-vector product (a slot for each output), the Jacobian (n_inputs slots
 * for each output) and the Hessian-vector product.
 *
 * Programs of scalars become straight-line code, which the passes shorten and roll into loops over
 * memory: dot and matrix products are found in them. All passes but AD_PASS_DOTS leave every bit as
 * it was; sums that become dot products differ by at most 2 n u sum |a b|. Programs with tensors
 * have their derivatives recorded and are captured. Errors, guards, threads and ownership are as
 * with ad_program_capture; the tape is left as it was. */
AD_API ad_program *ad_compile(ad_tape *tape, int n_inputs, const ad_var *inputs, int n_outputs,
                              const ad_var *outputs, const ad_compile_config *config);

typedef struct ad_program_stats {
    int64_t recorded;     /* operations on the tape, without derivatives */
    int64_t instructions; /* of straight-line code, derivatives included, before the passes */
    int64_t changed[AD_PASS_COUNT_]; /* instructions that each pass took up into dot products, took
                                        out, replaced, or made cheaper, in the order of ad_pass; of
                                        AD_PASS_LOOPS the loops */
    int64_t lines;                   /* what is left, loops counted with what is in them once */
    int64_t operations;              /* that a run does, dot products counted as one */
    int64_t flops;                   /* that a run does; functions counted as one */
    int64_t bytes;                   /* of the program */
    int64_t workspace_bytes;         /* of the numbers of a workspace */
    bool native;                     /* does machine code run in its place */
} ad_program_stats;
AD_API ad_program_stats ad_program_stats_of(const ad_program *program);
/* Writes the program as one C file that needs nothing but libm; loops stay loops.
 *
 * Of scalars: `int name(const double *x, double *m, double *out)`, whose sizes are name_inputs,
 * name_memory and name_outputs. With tensors: `int name(const name_arrays *at, double *m)`, m being
 * memory for name_memory numbers and *at pointers to the inputs x0, x1 ..., the parameters p0 ...
 * and the outputs y0 ..., in the order of the program's slots and in their own dtypes, each by rows
 * and none overlapping another; name_x0 and so on are their numbers of elements. Parameters that
 * are assigned are written after all that may fail. Both keep no state and give 0; 1 + the number
 * of a recorded comparison that comes out differently; with tensors -1 where an index is out of
 * range: then nothing was assigned.
 *
 * AD_NOT_RECORDED where something has no C, which ad_program_note names: an operation that C's
 * library lacks (such as digamma), random draws, a user's operation, the backward sweep of a
 * program captured with AD_GRADIENT (compile it, or record its gradients). AD_BAD_ARGUMENT where
 * name is no identifier; AD_TOO_LARGE for arrays of 2^31 elements. To be called by one thread at a
 * time. */
AD_API ad_status ad_program_emit_c(const ad_program *program, const char *name, FILE *to);

typedef struct ad_native_config {
    const char *compiler; /* NULL: the environment's TAPEGRAD_CC, or cc */
    const char *folder;   /* where machine code is kept, for its owner only; NULL: TAPEGRAD_CACHE,
                             $XDG_CACHE_HOME/tapegrad or ~/.cache/tapegrad */
} ad_native_config;

/* Builds that file with the system's C compiler, once for each text, and lets all later runs of the
 * program use it. To be called before other threads use the program. AD_UNAVAILABLE where it cannot
 * be had (no compiler, tensors, too long a program without loops); then the program runs as before
 * and ad_program_note says why. Programs with tensors keep to the library's kernels, whose results
 * do not depend on what is built where. */
AD_API ad_status ad_program_native(ad_program *program, const ad_native_config *config);
AD_API const char *ad_program_note(const ad_program *program);

/* The program before and after, with what each pass did; of what is long, the ends. */
AD_API ad_status ad_program_print(const ad_program *program, FILE *to);

/* All buffers of one run; one thread at a time. Inputs hold the values of the capture at first, and
 * get memory of their own when they are set for the first time.
 * Never NULL: out of memory is reported by ad_run. */
AD_API ad_workspace *ad_workspace_new(const ad_program *program);
AD_API void ad_workspace_free(ad_workspace *workspace);
AD_API const char *ad_workspace_error(const ad_workspace *workspace);
/* Runs at new inputs: x holds the elements of all inputs, one after the other, as doubles (NULL: as
 * set by ad_workspace_set); out gets the elements of all outputs, then the gradient (NULL: read by
 * ad_workspace_read). Allocates nothing from the second run on. States are committed after all
 * reads. */
AD_API ad_status ad_run(ad_workspace *workspace, const double *x, double *out);
AD_API ad_status ad_workspace_set(ad_workspace *workspace, int input, const ad_tensor *value);
AD_API ad_status ad_workspace_set_scalar(ad_workspace *workspace, int input, double value);
AD_API ad_status ad_workspace_read(const ad_workspace *workspace, int output, double *out);
AD_API ad_status ad_workspace_read_gradient(const ad_workspace *workspace, int input, double *out);
/* Gradient with respect to a parameter, of a program captured with AD_GRADIENT. */
AD_API ad_status ad_workspace_read_param_gradient(const ad_workspace *workspace, int slot,
                                                  double *out);
/* Lets this workspace read and assign another tensor in place of a parameter's own (same shape and
 * dtype). */
AD_API ad_status ad_workspace_bind(ad_workspace *workspace, int parameter_slot, ad_tensor *value);
/* Input k is read where the tensor lies, without a copy, until it is set or bound again: for large
 * inputs that change from run to run. The workspace holds a reference. Between runs the tensor may
 * be written. One that is not contiguous is copied; so is one number. */
AD_API ad_status ad_workspace_bind_input(ad_workspace *workspace, int input, ad_tensor *value);
/* The step number on which random operations draw; a run raises it by one. */
AD_API void ad_workspace_set_step(ad_workspace *workspace, uint64_t step);

/* ---- expressions --------------------------------------------------------------------------------
 *
 * Mathematics as text, for scalars and tensors alike:
 *
 *     ad_env *env = ad_env_new(tape);
 *     ad_env_set(env, "x1", ad_input(tape, 2));
 *     ad_env_set(env, "x2", ad_input(tape, 5));
 *     ad_var y = ad_eval(env, "x1*x2 + sin(x1)");
 *
 * Names, numbers, + - * / ^ @ (matrix product), comparisons (1 or 0), where(c, a, b), every
 * operation of docs/ops.md by its name (and ln), axes as in sum(x, 1), vectors [1, 2], matrices
 * [1, 2; 3, 4], the constants pi and e, and definitions before a last expression:
 * "h = sigmoid(w*x + b); (h - y)^2/2". docs/expressions.md has the grammar. Numbers are read the
 * same in every locale. */

/* A text that was read. Immutable; any number of threads may use it. */
typedef struct ad_expression ad_expression;

typedef struct ad_parse_error {
    int64_t at, length; /* the bytes of the text that are wrong; length 0: its end */
    int line, column;   /* the same place for people, from 1; columns count letters */
    char text[200];     /* what is wrong, and what to write; "" if nothing is */
} ad_parse_error;

/* The expression, to be freed; or NULL and an error, which may be a NULL pointer. */
AD_API ad_expression *ad_parse(const char *text, ad_parse_error *error);
AD_API void ad_expression_free(ad_expression *expression);

/* What it needs: the names that it does not define itself, in the order of their appearance. pi and
 * e are not among them, though an environment may give them other values. NULL past the last. */
AD_API int ad_expression_name_count(const ad_expression *expression);
AD_API const char *ad_expression_name(const ad_expression *expression, int i);

/* Writes it as text that ad_parse reads as the same expression, with no brackets more than that
 * needs: as snprintf, at most `size` bytes, and gives the length of the whole; 0 and "" when out of
 * memory. */
AD_API size_t ad_expression_text(const ad_expression *expression, char *to, size_t size);

/* Its derivative with respect to a name, as an expression, simplified, with e as Euler's number;
 * for elementwise operations on scalars. NULL and the reason in *error, which may be a NULL
 * pointer. */
AD_API ad_expression *ad_expression_derivative(const ad_expression *expression, const char *name,
                                               ad_parse_error *error);
/* The expression of a scalar on a tape in terms of inputs by their names; NULL: not of elementwise
 * operations only, or out of memory. */
AD_API ad_expression *ad_expression_of(ad_var y, int n, const ad_var *inputs,
                                       const char *const *names);

typedef enum ad_expression_kind {
    AD_EXPRESSION_NUMBER,
    AD_EXPRESSION_NAME,
    AD_EXPRESSION_CALL, /* an operation on its children */
    AD_EXPRESSION_ARRAY /* a vector, or a matrix of `rows` rows */
} ad_expression_kind;

typedef struct ad_expression_node {
    ad_expression_kind kind;
    const char *name; /* of a NAME; the operation of a CALL, "sin" or "matmul"; else "" */
    double number;
    int n_children;
    int rows;               /* of an ARRAY; 0: a vector */
    int64_t at, length;     /* where it stands in the text; length 0: it was not read from one */
    const char *defined_as; /* the name that a definition gives it, or "" */
} ad_expression_node;

/* Nodes in an order in which children come before their parents. One node may be a child of
 * several: a name that is defined is its definition's node. */
AD_API int64_t ad_expression_node_count(const ad_expression *expression);
AD_API int64_t ad_expression_result(const ad_expression *expression); /* the last value's node */
AD_API ad_status ad_expression_node_at(const ad_expression *expression, int64_t node,
                                       ad_expression_node *info);
AD_API int64_t ad_expression_child(const ad_expression *expression, int64_t node, int k);

/* Names, and the variables that they stand for, on one tape, which must outlive it. */
typedef struct ad_env ad_env;
AD_API ad_env *ad_env_new(ad_tape *tape); /* NULL when out of memory */
AD_API void ad_env_free(ad_env *env);
/* A name that is there already gets the new value. AD_BAD_ARGUMENT: not a name; AD_NULL,
 * AD_FOREIGN: no variable of this tape. */
AD_API ad_status ad_env_set(ad_env *env, const char *name, ad_var value);
AD_API ad_var ad_env_get(const ad_env *env, const char *name); /* null: it is not there */
/* Records an expression: its last value, while its definitions go into the environment. What is
 * wrong goes onto the tape, as with every operation. */
AD_API ad_var ad_eval(ad_env *env, const char *text);
/* The same of one that was read before. nodes: room for ad_expression_node_count numbers of nodes
 * of the tape, -1 where there is none (constants); or NULL. */
AD_API ad_var ad_record_expression(ad_env *env, const ad_expression *expression, int64_t *nodes);

/* ---- gradient check
 * ------------------------------------------------------------------------------ */

typedef struct ad_check_options {
    bool second_order; /* check Hessian-vector products too */
    bool random_seeds; /* several outputs or a tensor output: random cotangents in place of ones */
    uint64_t seed;     /* of the random cotangents and directions */
    double slack;      /* multiplies the rounding bound; 0 means 1 */
    bool no_differences; /* leave out the third opinion */
} ad_check_options;

typedef struct ad_check_report {
    ad_status status; /* AD_OK, AD_MISMATCH, or the error that stopped the check */
    bool passed;
    int64_t elements;        /* gradient elements compared */
    double worst_ulps;       /* of reverse against duals, in units of the rounding bound's u */
    double worst_difference; /* relative, against central differences, kinks left out */
    int kinks;               /* operations at or near a kink */
    /* where it disagrees: the first wrong operation and its local partial, or the wrong gradient
     * element */
    char operation[32], site[96], scope[96];
    int64_t node;           /* -1 where no operation could be blamed */
    int argument;           /* which operand's partial */
    int64_t input, element; /* the gradient element that showed it */
    double at[3];           /* the operation's first inputs */
    double got, want;
    char text[1536]; /* all of this as readable lines, kinks too */
} ad_check_report;

/* Reverse mode against duals (within rounding), and both against central differences, at x, for
 * every element; a disagreement is traced to the operation at fault. Returns report->status. */
AD_API ad_status ad_gradcheck(ad_function f, void *user, int n, const double *x,
                              const ad_check_options *options, ad_check_report *report);
/* The same for a function of tensors (float or double) and any output. */
AD_API ad_status ad_gradcheck_tensors(ad_function f, void *user, int n, ad_tensor *const *x,
                                      const ad_check_options *options, ad_check_report *report);
/* Checks a gradient that a user derived by hand: `gradient` has n numbers. */
AD_API ad_status ad_gradcheck_against(ad_function f, void *user, int n, const double *x,
                                      const double *gradient, const ad_check_options *options,
                                      ad_check_report *report);

/* ---- introspection
 * -------------------------------------------------------------------------------- */

typedef enum ad_node_kind {
    AD_NODE_INPUT,
    AD_NODE_CONSTANT,
    AD_NODE_PARAMETER,
    AD_NODE_OPERATION,
    AD_NODE_GUARD,
    AD_NODE_HIDDEN /* bookkeeping of the node after it: skip */
} ad_node_kind;

typedef struct ad_node_info {
    ad_node_kind kind;
    const char *operation; /* "sin", "matmul", "input" ... */
    int n_parents;
    const int64_t *shape;
    int rank; /* 0: scalar */
    ad_dtype dtype;
    double value;   /* of a scalar */
    double adjoint; /* of a scalar, as the last backward pass left it */
    bool needs_gradient;
    const char *site;  /* "model.c:42", or "" */
    const char *scope; /* "layer 2/attention", or "" */
} ad_node_info;

/* Nodes are numbered from 0 in the order of recording. */
AD_API int64_t ad_node_count(const ad_tape *tape);
AD_API ad_status ad_node_at(const ad_tape *tape, int64_t node, ad_node_info *info);
AD_API int64_t ad_node_parent(const ad_tape *tape, int64_t node, int k);
/* The handle of a node, and the node of a handle (-1 for constants and on error). */
AD_API ad_var ad_node_var(const ad_tape *tape, int64_t node);
AD_API int64_t ad_var_node(ad_var a);
/* The local partial of a scalar operation with respect to its parent k; NaN for others. */
AD_API double ad_node_partial(const ad_tape *tape, int64_t node, int k);

typedef struct ad_stats {
    int64_t nodes, inputs, constants, parameters, operations, guards;
    int64_t node_bytes;   /* nodes, adjoints included */
    int64_t tensor_bytes; /* values, descriptors and adjoints of tensors, as allocated */
    int64_t site_bytes;   /* source lines and scopes */
    int64_t
        value_reads; /* ad_value calls on recorded variables: branches on them are not guarded */
} ad_stats;
AD_API ad_stats ad_tape_stats(const ad_tape *tape);

typedef struct ad_op_info {
    const char *name, *doc;
    int arity; /* 0: any number */
    bool elementwise;
    double low[3], high[3];         /* of elementwise ones: intervals where tests draw arguments */
    const char *value, *partial[3]; /* C source in a, b, c, y, g; "" for structured ones */
} ad_op_info;
AD_API int ad_op_count(void);
AD_API const ad_op_info *ad_op_at(int op);
/* An elementwise operation by number, n arguments; and its value as a plain function. */
AD_API ad_var ad_apply(int op, int n, const ad_var *args);
AD_API double ad_op_value(int op, const double args[3]);

/* For "did you mean": *best becomes `candidate` if that is like `word`, and more like it than *best
 * is. Begin with *best NULL, and offer all the words there are. */
AD_API void ad_suggest(const char *word, const char *candidate, const char **best);

/* How often each operation occurs: counts has ad_op_count() elements. */
AD_API ad_status ad_tape_counts(const ad_tape *tape, int64_t *counts);
/* The tape as a table: node, operation, parents, shape, value, adjoint, site. */
AD_API ad_status ad_tape_print(const ad_tape *tape, FILE *to);
/* Values, tangents along each of the n inputs, and adjoints after ad_backward_keep(y), side by
 * side. */
AD_API ad_status ad_trace_print(ad_var y, int n, const ad_var *x, const char *const *names,
                                FILE *to);
/* The graph in Graphviz' language. */
AD_API ad_status ad_tape_dot(const ad_tape *tape, FILE *to);

#ifdef __cplusplus
}
#endif

#include "ad_ops.h" /* generated from ops.def: one function for each elementwise operation, and the macros */

#endif
