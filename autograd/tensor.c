/* tensor.c - tensors and parameters: the values that live outside of tapes
 *
 * A tensor is a view (shape, strides, start) of a counted storage. Views made from it share the
 * storage, and with it the version by which a tape learns that memory it borrowed was written. */
#include "tensor.h"
#include <string.h>

enum { ALIGNMENT = 64 };

#ifndef __STDC_NO_ATOMICS__
static void count_up(reference_count *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static bool count_down(reference_count *count) /* was it the last? */
{
    return atomic_fetch_sub_explicit(count, 1, memory_order_acq_rel) == 1;
}
#else
static void count_up(reference_count *count) { ++*count; }

static bool count_down(reference_count *count) { return --*count == 0; }
#endif

/* ---- storage ---- */

static storage *storage_new(const ad_context *context, size_t bytes)
{
    size_t total = sizeof(storage) + ALIGNMENT + bytes;
    if (total < bytes)
        return NULL;
    storage *s = memory_take(context, total);
    if (s) {
        uintptr_t past = (uintptr_t)(s + 1) % ALIGNMENT;
        s->context = context;
        s->data = (char *)(s + 1) + (past ? ALIGNMENT - past : 0);
        s->bytes = total;
    }
    return s;
}

static ad_tensor *view_new(storage *s, const array *view)
{
    ad_tensor *t = memory_take(s->context, sizeof *t);
    if (t) {
        t->view = *view;
        t->storage = s;
        count_up(&t->count);
        count_up(&s->count);
    }
    return t;
}

static bool known_dtype(ad_dtype dtype)
{
    return dtype == AD_F64 || dtype == AD_F32 || dtype == AD_I32;
}

ad_tensor *ad_tensor_new(const ad_context *context, ad_dtype dtype, int rank, const int64_t *shape)
{
    int64_t size = shape_size(rank, shape);
    if (size < 0 || !known_dtype(dtype))
        return NULL;
    array view = array_of(NULL, dtype, rank, shape);
    storage *s = storage_new(context_or_default(context), array_bytes(&view));
    if (!s)
        return NULL;
    view.data = s->data;
    ad_tensor *t = view_new(s, &view);
    if (!t)
        memory_give(s->context, s, s->bytes);
    return t;
}

ad_tensor *ad_tensor_from(const ad_context *context, ad_dtype dtype, int rank, const int64_t *shape,
                          const void *data)
{
    ad_tensor *t = ad_tensor_new(context, dtype, rank, shape);
    if (!t || t->view.size == 0)
        return t;
    if (!data) {
        ad_tensor_free(t);
        return NULL;
    }
    memcpy(t->view.data, data, array_bytes(&t->view));
    return t;
}

ad_tensor *tensor_of_array(const ad_context *context, const array *a)
{
    ad_tensor *t = ad_tensor_new(context, a->dtype, a->rank, a->shape);
    if (t)
        array_copy(&t->view, a);
    return t;
}

ad_tensor *ad_tensor_retain(ad_tensor *tensor)
{
    if (tensor)
        count_up(&tensor->count);
    return tensor;
}

void ad_tensor_free(ad_tensor *tensor)
{
    if (!tensor || !count_down(&tensor->count))
        return;
    storage *s = tensor->storage;
    const ad_context *context = s->context;
    memory_give(context, tensor, sizeof *tensor);
    if (count_down(&s->count))
        memory_give(context, s, s->bytes);
}

/* ---- views ---- */

ad_tensor *ad_tensor_permuted(ad_tensor *tensor, const int *axes)
{
    int rank = tensor ? tensor->view.rank : 0, order[AD_MAX_RANK];
    bool seen[AD_MAX_RANK] = {false};
    if (!tensor || (rank && !axes))
        return NULL;
    for (int i = 0; i < rank; i++) {
        int axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (axis < 0 || axis >= rank || seen[axis])
            return NULL;
        seen[order[i] = axis] = true;
    }
    array view = array_permuted(&tensor->view, order);
    return view_new(tensor->storage, &view);
}

int64_t slice_range(int64_t size, int64_t *start, int64_t stop, int64_t step)
{
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
    int64_t ends[2] = {*start, stop};
    for (int i = 0; i < 2; i++) {
        if (ends[i] < 0)
            ends[i] += size;
        ends[i] = ends[i] < low ? low : ends[i] > high ? high : ends[i];
    }
    *start = ends[0];
    if (step < 0)
        return ends[1] < ends[0]
                   ? 1 + (ends[0] - ends[1] - 1) / (step == INT64_MIN ? INT64_MAX : -step)
                   : 0;
    return ends[0] < ends[1] ? 1 + (ends[1] - ends[0] - 1) / step : 0;
}

ad_tensor *ad_tensor_sliced(ad_tensor *tensor, int axis, int64_t start, int64_t stop, int64_t step)
{
    int rank = tensor ? tensor->view.rank : 0;
    if (axis < 0)
        axis += rank;
    if (axis < 0 || axis >= rank || step == 0)
        return NULL;
    int64_t count = slice_range(tensor->view.shape[axis], &start, stop, step);
    array view = array_sliced(&tensor->view, axis, start, count, step);
    return view_new(tensor->storage, &view);
}

/* ---- properties ---- */

ad_dtype ad_tensor_dtype(const ad_tensor *tensor) { return tensor ? tensor->view.dtype : AD_F64; }

int ad_tensor_rank(const ad_tensor *tensor) { return tensor ? tensor->view.rank : -1; }

const int64_t *ad_tensor_shape(const ad_tensor *tensor)
{
    return tensor ? tensor->view.shape : NULL;
}

const int64_t *ad_tensor_strides(const ad_tensor *tensor)
{
    return tensor ? tensor->view.stride : NULL;
}

int64_t ad_tensor_size(const ad_tensor *tensor) { return tensor ? tensor->view.size : -1; }

uint64_t ad_tensor_version(const ad_tensor *tensor) { return tensor ? tensor_version(tensor) : 0; }

/* ---- elements ---- */

void *ad_tensor_data(ad_tensor *tensor)
{
    if (!tensor)
        return NULL;
    tensor_touch(tensor);
    return tensor->view.data;
}

const void *ad_tensor_data_const(const ad_tensor *tensor)
{
    return tensor ? tensor->view.data : NULL;
}

static bool element_offset(const array *a, const int64_t *index, int64_t *offset)
{
    *offset = 0;
    for (int i = 0; i < a->rank; i++) {
        if (!index || index[i] < 0 || index[i] >= a->shape[i])
            return false;
        *offset += index[i] * a->stride[i];
    }
    return true;
}

double ad_tensor_get(const ad_tensor *tensor, const int64_t *index)
{
    int64_t offset;
    if (!tensor || !element_offset(&tensor->view, index, &offset))
        return NAN;
    return array_get(&tensor->view, offset);
}

ad_status ad_tensor_set(ad_tensor *tensor, const int64_t *index, double value)
{
    int64_t offset;
    if (!tensor || (!index && tensor->view.rank))
        return AD_NULL;
    if (!element_offset(&tensor->view, index, &offset))
        return AD_BAD_INDEX;
    array_put(&tensor->view, offset, value);
    tensor_touch(tensor);
    return AD_OK;
}

ad_status ad_tensor_read(const ad_tensor *tensor, double *out)
{
    if (!tensor || (!out && tensor->view.size))
        return AD_NULL;
    array to = array_of(out, AD_F64, tensor->view.rank, tensor->view.shape);
    array_copy(&to, &tensor->view);
    return AD_OK;
}

ad_status ad_tensor_write(ad_tensor *tensor, const double *values)
{
    if (!tensor || (!values && tensor->view.size))
        return AD_NULL;
    array from = array_of((void *)(uintptr_t)values, AD_F64, tensor->view.rank, tensor->view.shape);
    array_copy(&tensor->view, &from);
    tensor_touch(tensor);
    return AD_OK;
}

ad_status ad_tensor_fill(ad_tensor *tensor, double value)
{
    if (!tensor)
        return AD_NULL;
    array_fill(&tensor->view, value);
    tensor_touch(tensor);
    return AD_OK;
}

/* Views of one storage may overlap: these go through a copy. */
static ad_status copy_within(ad_tensor *to, const ad_tensor *from)
{
    ad_tensor *copy = tensor_of_array(from->storage->context, &from->view);
    if (!copy)
        return AD_NO_MEMORY;
    array_copy(&to->view, &copy->view);
    ad_tensor_free(copy);
    return AD_OK;
}

ad_status ad_tensor_copy(ad_tensor *to, const ad_tensor *from)
{
    if (!to || !from)
        return AD_NULL;
    if (!same_shape(&to->view, &from->view))
        return AD_BAD_SHAPE;
    if (to->view.dtype != from->view.dtype)
        return AD_BAD_DTYPE;
    ad_status status = AD_OK;
    if (to->storage == from->storage)
        status = copy_within(to, from);
    else
        array_copy(&to->view, &from->view);
    if (status == AD_OK)
        tensor_touch(to);
    return status;
}

uint64_t tensor_checksum(const ad_tensor *t)
{
    const array *only[1] = {&t->view};
    size_t bytes = t->view.dtype == AD_F64 ? 8 : 4;
    uint64_t hash = 0xcbf29ce484222325u;
    for (array_walk w = array_walk_of(1, only); w.left; array_walk_next(&w))
        for (int64_t i = 0; i < w.count; i++) {
            uint64_t bits = 0;
            int64_t at = (w.offset[0] + i * w.step[0]) * (int64_t)bytes;
            memcpy(&bits, (const char *)t->view.data + at, bytes);
            hash = (hash ^ bits) * 0x9e3779b97f4a7c15u;
            hash ^= hash >> 29;
        }
    return hash;
}

/* ---- parameters ---- */

ad_param *ad_param_new(const char *name, ad_tensor *value, bool trainable)
{
    if (!value)
        return NULL;
    const ad_context *context = value->storage->context;
    size_t length = name ? strlen(name) + 1 : 0;
    ad_param *p = name ? memory_take(context, sizeof *p + length) : NULL;
    if (!p) {
        ad_tensor_free(value);
        return NULL;
    }
    *p = (ad_param){(char *)(p + 1), value, trainable};
    memcpy(p->name, name, length);
    return p;
}

void ad_param_free(ad_param *param)
{
    if (!param)
        return;
    const ad_context *context = param->value->storage->context;
    ad_tensor *value = param->value;
    memory_give(context, param, sizeof *param + strlen(param->name) + 1);
    ad_tensor_free(value);
}

const char *ad_param_name(const ad_param *param) { return param ? param->name : NULL; }

ad_tensor *ad_param_value(const ad_param *param) { return param ? param->value : NULL; }

bool ad_param_trainable(const ad_param *param) { return param && param->trainable; }

void ad_param_set_trainable(ad_param *param, bool trainable)
{
    if (param)
        param->trainable = trainable;
}
