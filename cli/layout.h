/* layout.h - where the nodes of a graph are drawn: in layers from left to right, with few crossings
 *
 * Sugiyama's way: a node's layer is the longest path to it, edges that pass layers get a place in
 * each, sweeps of barycentres order the layers, and the places are the nearest to their neighbours
 * that keep this order. Nothing is random: the same graph has the same drawing. */
#ifndef LAYOUT_H
#define LAYOUT_H
#include <stdbool.h>

typedef struct layout_node {
    double width, height; /* wanted; all nodes of a layer then get the width of the widest */
    bool last;            /* to be in the last layer */
    int layer;
    double x, y; /* of its middle */
} layout_node;

typedef struct layout_edge {
    int from, to;
    double label; /* room for its label, before `to` */
    int n;        /* its places: that where it leaves, one in each layer it passes, where it ends */
    double *y;
} layout_edge;

typedef struct layout {
    int n, n_edges, n_layers;
    layout_node *nodes;
    layout_edge *edges;
    /* of each layer: where lines end to curve, and the sides of its nodes */
    double *enter, *left, *right;
    double width, height;
    struct layout_work *work;
} layout;

/* Room for the graph, to be filled in: nodes' width, height and last, edges' from (smaller), to and
 * label. NULL when out of memory. */
layout *layout_new(int n, int n_edges);
/* Finds all places; false when out of memory. */
bool layout_run(layout *l);
void layout_free(layout *l);

#endif
