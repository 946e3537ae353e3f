/* SPDX-License-Identifier: BSD-2-Clause */
/* Shapes of a picture as SVG. */
#include "cli/svg_draw.h"

#include <string.h>

#include "cli/render.h"

/* Readable on a light page and on a dark one: it brings its own background for both. */
static const char style[] =
    "<style>\n"
    "text{font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#1f2328}\n"
    ".page{fill:#fff}.dim{fill:#59636e}.bold,.head{font-weight:bold}\n"
    ".line,.packet,.life,.cut{stroke:#1f2328;stroke-width:1.3;fill:none}\n"
    ".tip,.dot{fill:#1f2328}.letter{fill:#fff;stroke:#1f2328}\n"
    ".life{stroke-width:2.5;stroke-linecap:round}\n"
    ".leader,.grid{stroke:#59636e;stroke-dasharray:2 3;fill:none}\n"
    ".guess{stroke-dasharray:5 3}.cut{stroke-width:1}\n"
    ".s{stroke:#59636e;stroke-width:1}.hatch{fill:url(#hatch);stroke:none}\n"
    ".h{stroke:#59636e;stroke-width:1.6;stroke-opacity:.45}\n"
    ".open{fill:#d1d9e0}.estab{fill:#aceebb}.close-wait{fill:#ffdf80}.fin{fill:#b6e3ff}\n"
    ".last{fill:#e2c5ff}.over{fill:#eceff2}.closed{fill:none;stroke-dasharray:3 3}\n"
    "@media (prefers-color-scheme:dark){\n"
    "text{fill:#e6edf3}.page{fill:#0d1117}.dim{fill:#9198a1}\n"
    ".line,.packet,.life,.cut{stroke:#e6edf3}.tip,.dot{fill:#e6edf3}\n"
    ".letter{fill:#0d1117;stroke:#e6edf3}.leader,.grid,.s{stroke:#9198a1}\n"
    ".open{fill:#3d444d}.estab{fill:#1a5a2d}.close-wait{fill:#75530c}.fin{fill:#134a8e}\n"
    ".last{fill:#56349b}.over{fill:#2a313c}.h{stroke:#e6edf3}.closed{fill:none}}\n"
    "</style>\n";

void svg_open(struct text *out, unsigned width, unsigned height, const char *title)
{
    text_printf(out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
                "viewBox=\"0 0 %u %u\" role=\"img\">\n<title>",
                width, height, width, height);
    text_add_xml(out, title);
    text_add(out, "</title>\n");
    text_add(out, style);
    text_add(out, "<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" "
                  "patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">"
                  "<line class=\"h\" y2=\"6\"/>"
                  "</pattern></defs>\n");
    text_printf(out, "<rect class=\"page\" width=\"%u\" height=\"%u\"/>\n", width, height);
}

void svg_close(struct text *out)
{
    text_add(out, "</svg>\n");
}

void svg_text(struct text *out, double x, double y, const char *class, const char *anchor,
              const char *text)
{
    int size = strcmp(class, "head") == 0 ? 15 : SVG_FONT;
    text_printf(out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\"", x, y, size);
    if (*class)
        text_printf(out, " class=\"%s\"", class);
    if (strcmp(anchor, "start") != 0)
        text_printf(out, " text-anchor=\"%s\"", anchor);
    text_add(out, ">");
    text_add_xml(out, text);
    text_add(out, "</text>\n");
}

/* How much of `text` makes the next line. */
static size_t line_len(const char *text, unsigned columns)
{
    unsigned used;
    size_t fits = text_fit(text, columns, &used);
    if (!text[fits])
        return fits;
    size_t len = fits;
    while (len > 0 && text[len] != ' ')
        len--;
    return len ? len : fits ? fits : strlen(text);
}

unsigned svg_wrapped(struct text *out, double x, double y, const char *class, const char *anchor,
                     unsigned columns, const char *text)
{
    unsigned cnt = 0;
    while (*text) {
        size_t len = line_len(text, columns);
        struct text line;
        text_init(&line);
        text_add_len(&line, text, len);
        if (out)
            svg_text(out, x, y + cnt * SVG_LINE, class, anchor, text_string(&line));
        text_free(&line);
        cnt++;
        text += len;
        text += strspn(text, " ");
    }
    return cnt;
}

void svg_line(struct text *out, double x1, double y1, double x2, double y2, const char *class)
{
    text_printf(out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class,
                x1, y1, x2, y2);
}

void svg_arrow(struct text *out, double x1, double y1, double x2, double y2, const char *class)
{
    double back = x2 > x1 ? -8 : 8;
    svg_line(out, x1, y1, x2, y2, class);
    text_printf(out, "<path class=\"tip\" d=\"M%.1f %.1fl%.1f -4.5v8z\"/>\n", x2, y2, back);
}

void svg_box(struct text *out, double x, double y, double width, double height, const char *class)
{
    text_printf(out,
                "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
                class, x, y, width, height);
}

void svg_dot(struct text *out, double x, double y, double radius, const char *class)
{
    text_printf(out, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n", class, x, y,
                radius);
}

void svg_cross(struct text *out, double x, double y)
{
    text_printf(out, "<path class=\"line\" d=\"M%.1f %.1fl10 10m0 -10l-10 10\"/>\n", x - 5, y - 5);
}

void svg_break(struct text *out, double x, double y)
{
    text_printf(out, "<path class=\"cut\" d=\"M%.1f %.1fl6 -5l4 8l6 -5m-16 6l6 -5l4 8l6 -5\"/>\n",
                x - 8, y);
}
