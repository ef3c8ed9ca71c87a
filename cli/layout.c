/* layout.c - see layout.h */
#include "layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MARGIN = 16, CURVE = 64, NODE_GAP = 26, EDGE_GAP = 18, SWEEPS = 12, SETTLES = 40 };

/* A place in a layer: a node's, or that of an edge that passes. Neighbours are in the layers beside
 * it. */
typedef struct place {
    int layer, rank; /* rank: its number in the layer, from the top */
    int node, edge;  /* the other one is -1 */
    int first[2], n[2];
    double height, y;
    double wanted, weight; /* of the sweep that is under way */
} place;

struct layout_work {
    int n, n_links;
    place *places;
    int (*links)[2];    /* from the place of a layer to one of the next */
    int *neighbours;    /* of all places, both sides */
    int *order, *first; /* places by layer and rank; where each layer begins */
    int *best;          /* the order with the fewest crossings; at first how many a layer has */
    int *tree;          /* to count crossings */
    struct block *blocks;
};

layout *layout_new(int n, int n_edges)
{
    layout *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->n = n;
    l->n_edges = n_edges;
    l->nodes = calloc((size_t)n + 1, sizeof *l->nodes);
    l->edges = calloc((size_t)n_edges + 1, sizeof *l->edges);
    l->work = calloc(1, sizeof *l->work);
    if (l->nodes && l->edges && l->work)
        return l;
    layout_free(l);
    return NULL;
}

void layout_free(layout *l)
{
    if (!l)
        return;
    struct layout_work *w = l->work;
    for (int i = 0; l->edges && i < l->n_edges; i++)
        free(l->edges[i].y);
    if (w) {
        free(w->places);
        free(w->links);
        free(w->neighbours);
        free(w->order);
        free(w->first);
        free(w->best);
        free(w->tree);
        free(w->blocks);
    }
    free(w);
    free(l->nodes);
    free(l->edges);
    free(l->enter);
    free(l->left);
    free(l->right);
    free(l);
}

/* ---- layers ---- */

static bool find_layers(layout *l)
{
    l->n_layers = 1;
    for (int i = 0; i < l->n;
         i++) /* an edge leads to a larger number: all that lead to i are known */
        for (int k = 0; k < l->n_edges; k++)
            if (l->edges[k].to == i && l->nodes[i].layer <= l->nodes[l->edges[k].from].layer)
                l->nodes[i].layer = l->nodes[l->edges[k].from].layer + 1;
    for (int i = 0; i < l->n; i++)
        if (l->nodes[i].layer >= l->n_layers)
            l->n_layers = l->nodes[i].layer + 1;
    for (int k = 0; k < l->n_edges; k++) /* what leads on cannot be at the end */
        l->nodes[l->edges[k].from].last = false;
    for (int i = 0; i < l->n; i++)
        if (l->nodes[i].last)
            l->nodes[i].layer = l->n_layers - 1;
    const size_t layers = (size_t)l->n_layers + 1;
    l->enter = calloc(layers, sizeof *l->enter);
    l->left = calloc(layers, sizeof *l->left);
    l->right = calloc(layers, sizeof *l->right);
    return l->enter && l->left && l->right;
}

/* ---- places and the links between them ---- */

static int length_of(const layout *l, const layout_edge *e)
{
    return l->nodes[e->to].layer - l->nodes[e->from].layer;
}

static bool make_room(layout *l)
{
    struct layout_work *w = l->work;
    size_t places = (size_t)l->n, links = 0;
    for (int k = 0; k < l->n_edges; k++) {
        places += (size_t)length_of(l, &l->edges[k]) - 1;
        links += (size_t)length_of(l, &l->edges[k]);
    }
    w->places = calloc(places + 1, sizeof *w->places);
    w->links = calloc(links + 1, sizeof *w->links);
    w->neighbours = calloc(2 * links + 1, sizeof *w->neighbours);
    w->order = calloc(places + 1, sizeof *w->order);
    w->best = calloc(places + 1, sizeof *w->best);
    w->tree = calloc(places + 2, sizeof *w->tree);
    w->first = calloc((size_t)l->n_layers + 2, sizeof *w->first);
    return w->places && w->links && w->neighbours && w->order && w->best && w->tree && w->first;
}

/* The nodes first, by number; then what passes, edge by edge, a layer after the other. */
static void place_all(layout *l)
{
    struct layout_work *w = l->work;
    for (int i = 0; i < l->n; i++)
        w->places[w->n++] = (place){
            .layer = l->nodes[i].layer, .node = i, .edge = -1, .height = l->nodes[i].height};
    for (int k = 0; k < l->n_edges; k++) {
        const layout_edge *e = &l->edges[k];
        int before = e->from;
        for (int layer = l->nodes[e->from].layer + 1; layer < l->nodes[e->to].layer; layer++) {
            w->places[w->n] = (place){.layer = layer, .node = -1, .edge = k};
            w->links[w->n_links][0] = before;
            w->links[w->n_links++][1] = before = w->n++;
        }
        w->links[w->n_links][0] = before;
        w->links[w->n_links++][1] = e->to;
    }
}

/* side 0: the layer before; side 1: the layer after. */
static void find_neighbours(struct layout_work *w)
{
    int used = 0;
    for (int i = 0; i < w->n_links; i++)
        for (int side = 0; side < 2; side++)
            w->places[w->links[i][!side]].n[side]++;
    for (int i = 0; i < w->n; i++)
        for (int side = 0; side < 2; side++) {
            w->places[i].first[side] = used;
            used += w->places[i].n[side];
            w->places[i].n[side] = 0;
        }
    for (int i = 0; i < w->n_links; i++)
        for (int side = 0; side < 2; side++) {
            place *p = &w->places[w->links[i][!side]];
            w->neighbours[p->first[side] + p->n[side]++] = w->links[i][side];
        }
}

static void number_ranks(layout *l)
{
    struct layout_work *w = l->work;
    for (int layer = 0; layer < l->n_layers; layer++)
        for (int i = w->first[layer]; i < w->first[layer + 1]; i++)
            w->places[w->order[i]].rank = i - w->first[layer];
}

static void first_order(layout *l)
{
    struct layout_work *w = l->work;
    for (int i = 0; i < w->n; i++)
        w->first[w->places[i].layer + 1]++;
    for (int layer = 0; layer < l->n_layers; layer++)
        w->first[layer + 1] += w->first[layer];
    for (int i = 0; i < w->n; i++) /* the place after the last one of its layer, so far */
        w->order[w->first[w->places[i].layer] + w->best[w->places[i].layer]++] = i;
    number_ranks(l);
}

/* ---- crossings ---- */

/* Between a layer and the next: for each link, those that ended further down before it (a Fenwick
 * tree counts them). */
static long long count_crossings(layout *l, int layer)
{
    struct layout_work *w = l->work;
    const int from = w->first[layer + 1], n = w->first[layer + 2] - from;
    long long crossings = 0, seen = 0;
    memset(w->tree, 0, ((size_t)n + 2) * sizeof *w->tree);
    for (int i = w->first[layer]; i < from; i++) {
        const place *p = &w->places[w->order[i]];
        for (int k = 0; k < p->n[1]; k++) {
            int above = 0;
            for (int r = w->places[w->neighbours[p->first[1] + k]].rank + 1; r; r -= r & -r)
                above += w->tree[r];
            crossings += seen - above;
        }
        for (int k = 0; k < p->n[1]; k++, seen++)
            for (int r = w->places[w->neighbours[p->first[1] + k]].rank + 1; r <= n; r += r & -r)
                w->tree[r]++;
    }
    return crossings;
}

static long long all_crossings(layout *l)
{
    long long crossings = 0;
    for (int layer = 0; layer + 1 < l->n_layers; layer++)
        crossings += count_crossings(l, layer);
    return crossings;
}

/* Sorts a layer by the mean rank of the neighbours on one side. The sort is stable, and so the
 * outcome is determined. */
static void sort_layer(layout *l, int layer, int side)
{
    struct layout_work *w = l->work;
    int *order = w->order + w->first[layer];
    const int n = w->first[layer + 1] - w->first[layer];
    for (int i = 0; i < n; i++) {
        place *p = &w->places[order[i]];
        double sum = 0;
        for (int k = 0; k < p->n[side]; k++)
            sum += w->places[w->neighbours[p->first[side] + k]].rank;
        p->wanted = p->n[side] ? sum / p->n[side] : p->rank;
    }
    for (int i = 1; i < n; i++) {
        const int moved = order[i];
        int k = i;
        for (; k && w->places[order[k - 1]].wanted > w->places[moved].wanted; k--)
            order[k] = order[k - 1];
        order[k] = moved;
    }
    for (int i = 0; i < n; i++)
        w->places[order[i]].rank = i;
}

static void find_order(layout *l)
{
    struct layout_work *w = l->work;
    first_order(l);
    long long fewest = all_crossings(l);
    memcpy(w->best, w->order, (size_t)w->n * sizeof *w->best);
    for (int i = 0; i < SWEEPS && fewest; i++) {
        for (int layer = 1; i % 2 == 0 && layer < l->n_layers; layer++)
            sort_layer(l, layer, 0);
        for (int layer = l->n_layers - 2; i % 2 && layer >= 0; layer--)
            sort_layer(l, layer, 1);
        const long long crossings = all_crossings(l);
        if (crossings >= fewest)
            continue;
        fewest = crossings;
        memcpy(w->best, w->order, (size_t)w->n * sizeof *w->best);
    }
    memcpy(w->order, w->best, (size_t)w->n * sizeof *w->best);
    number_ranks(l);
}

/* ---- heights ---- */

static double distance(const place *a, const place *b)
{
    return (a->height + b->height) / 2 + (a->node >= 0 && b->node >= 0 ? NODE_GAP : EDGE_GAP);
}

/* Places that touch and move as one: their mean, without the room that each takes. */
typedef struct block {
    double mean, weight;
    int n;
} block;

/* The places nearest to the wanted ones, by weighted squares, that keep order and distance: pooled
 * adjacent violators. */
static void settle_layer(layout *l, int layer)
{
    struct layout_work *w = l->work;
    const int *order = w->order + w->first[layer], n = w->first[layer + 1] - w->first[layer];
    double offset = 0;
    int blocks = 0;
    for (int i = 0; i < n; i++) {
        const place *p = &w->places[order[i]];
        offset += i ? distance(&w->places[order[i - 1]], p) : 0;
        w->blocks[blocks++] = (block){p->wanted - offset, p->weight, 1};
        for (; blocks > 1 && w->blocks[blocks - 2].mean > w->blocks[blocks - 1].mean; blocks--) {
            block *a = &w->blocks[blocks - 2], *b = &w->blocks[blocks - 1];
            a->mean = (a->mean * a->weight + b->mean * b->weight) / (a->weight + b->weight);
            a->weight += b->weight;
            a->n += b->n;
        }
    }
    offset = 0;
    for (int b = 0, i = 0; b < blocks; b++)
        for (int k = 0; k < w->blocks[b].n; k++, i++) {
            place *p = &w->places[order[i]];
            offset += i ? distance(&w->places[order[i - 1]], p) : 0;
            p->y = w->blocks[b].mean + offset;
        }
}

/* What passes is to be straight, and so weighs more. */
static void want_neighbours(layout *l, int layer, bool before, bool after)
{
    struct layout_work *w = l->work;
    for (int i = w->first[layer]; i < w->first[layer + 1]; i++) {
        place *p = &w->places[w->order[i]];
        double sum = 0, weight = 0;
        for (int side = 0; side < 2; side++)
            for (int k = 0; k < p->n[side] && (side ? after : before); k++) {
                const place *q = &w->places[w->neighbours[p->first[side] + k]];
                const double heavy = p->node < 0 && q->node < 0 ? 6 : p->node < 0 ? 2 : 1;
                sum += heavy * q->y;
                weight += heavy;
            }
        p->wanted = weight > 0 ? sum / weight : p->y;
        p->weight = weight > 0 ? weight : .1;
    }
}

static void find_heights(layout *l)
{
    for (int layer = 0; layer < l->n_layers; layer++) {
        want_neighbours(l, layer, layer > 0, false);
        settle_layer(l, layer);
    }
    for (int i = 0; i < SETTLES; i++)
        for (int k = 0; k < l->n_layers; k++) {
            const int layer = i % 2 ? k : l->n_layers - 1 - k;
            want_neighbours(l, layer, i % 2 || i > SWEEPS, !(i % 2) || i > SWEEPS);
            settle_layer(l, layer);
        }
}

/* ---- the drawing ---- */

static void move_into_view(layout *l)
{
    struct layout_work *w = l->work;
    double top = INFINITY, bottom = -INFINITY;
    for (int i = 0; i < w->n; i++) {
        top = fmin(top, w->places[i].y - w->places[i].height / 2);
        bottom = fmax(bottom, w->places[i].y + w->places[i].height / 2);
    }
    for (int i = 0; i < w->n; i++)
        w->places[i].y = round(w->places[i].y - top + MARGIN);
    l->height = ceil(bottom - top) + 2 * MARGIN;
}

static void find_columns(layout *l)
{
    double x = MARGIN;
    for (int layer = 0; layer < l->n_layers; layer++) {
        double label = 0, width = 0;
        for (int k = 0; k < l->n_edges; k++)
            if (l->nodes[l->edges[k].to].layer == layer)
                label = fmax(label, l->edges[k].label);
        for (int i = 0; i < l->n; i++)
            if (l->nodes[i].layer == layer)
                width = fmax(width, l->nodes[i].width);
        l->enter[layer] = x += layer ? CURVE : 0;
        l->left[layer] = x += ceil(label);
        l->right[layer] = x += ceil(width);
    }
    l->width = x + MARGIN;
    for (int i = 0; i < l->n; i++) {
        layout_node *n = &l->nodes[i];
        n->width = l->right[n->layer] - l->left[n->layer];
        n->x = (l->left[n->layer] + l->right[n->layer]) / 2;
        n->y = l->work->places[i].y;
    }
}

/* Edges that end in the same node do so one below the other, in the order in which they come. */
static void spread_ends(layout *l)
{
    for (int k = 0; k < l->n_edges; k++) {
        layout_edge *e = &l->edges[k];
        int above = 0, all = 0;
        for (int j = 0; j < l->n_edges; j++) {
            if (l->edges[j].to != e->to)
                continue;
            const double mine = e->y[e->n - 2], other = l->edges[j].y[l->edges[j].n - 2];
            above += other < mine || (other <= mine && j < k);
            all++;
        }
        const layout_node *to = &l->nodes[e->to];
        e->y[e->n - 1] = round(to->y + to->height * ((above + .5) / all - .5));
    }
}

static bool draw_edges(layout *l)
{
    struct layout_work *w = l->work;
    int passing = l->n;
    for (int k = 0; k < l->n_edges; k++) {
        layout_edge *e = &l->edges[k];
        e->n = length_of(l, e) + 1;
        e->y = calloc((size_t)e->n, sizeof *e->y);
        if (!e->y)
            return false;
        e->y[0] = l->nodes[e->from].y;
        for (int i = 1; i + 1 < e->n; i++)
            e->y[i] = w->places[passing++].y;
    }
    spread_ends(l);
    return true;
}

bool layout_run(layout *l)
{
    if (!find_layers(l) || !make_room(l))
        return false;
    place_all(l);
    find_neighbours(l->work);
    l->work->blocks = calloc((size_t)l->work->n + 1, sizeof *l->work->blocks);
    if (!l->work->blocks)
        return false;
    find_order(l);
    find_heights(l);
    move_into_view(l);
    find_columns(l);
    return draw_edges(l);
}
