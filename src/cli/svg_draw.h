/* SPDX-License-Identifier: BSD-2-Clause */
/* Shapes of a picture as SVG. */
#ifndef LASTACK_CLI_SVG_DRAW_H
#define LASTACK_CLI_SVG_DRAW_H

#include "doctor/text.h"

#define SVG_FONT       11
#define SVG_CHARACTER  6.7 /* columns of the font, at most */
#define SVG_LINE       14

/* The beginning of a file of this size, with its styles; and its end. */
void svg_open(struct text *out, unsigned width, unsigned height, const char *title);
void svg_close(struct text *out);
/* `class`: "", "dim", "bold", "head"; `anchor`: "start", "middle", "end". Escapes `text`. */
void svg_text(struct text *out, double x, double y, const char *class, const char *anchor,
              const char *text);
/* Lines of at most `columns`; returns how many. `out` NULL: only count. */
unsigned svg_wrapped(struct text *out, double x, double y, const char *class, const char *anchor,
                     unsigned columns, const char *text);
void svg_line(struct text *out, double x1, double y1, double x2, double y2, const char *class);
void svg_arrow(struct text *out, double x1, double y1, double x2, double y2, const char *class);
void svg_box(struct text *out, double x, double y, double width, double height, const char *class);
void svg_dot(struct text *out, double x, double y, double radius, const char *class);
void svg_cross(struct text *out, double x, double y);
/* A zigzag across a vertical line: time was left out. */
void svg_break(struct text *out, double x, double y);

#endif
