/* SPDX-License-Identifier: BSD-2-Clause */
/* The pages of docs/findings inside the program, made by scripts/embed-pages. */
#ifndef LASTACK_CLI_EXPLAIN_H
#define LASTACK_CLI_EXPLAIN_H

struct page {
    const char *name; /* a code or a class */
    const char *text; /* Markdown */
};
extern const struct page pages[]; /* sorted by name */
extern const unsigned page_cnt;

int explain_main(int argc, char **argv);

#endif
