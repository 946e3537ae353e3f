/* SPDX-License-Identifier: BSD-2-Clause */
/* Names from files of strangers: control characters become '?', so that one name is one line. */
#ifndef LASTACK_LINES_NAME_H
#define LASTACK_LINES_NAME_H

#include <stddef.h>
#include <string.h>

static inline void name_copy(char *to, size_t cap, const char *from, size_t len)
{
    if (len >= cap)
        len = cap - 1;
    for (size_t i = 0; i < len; i++)
        to[i] = (unsigned char)from[i] < ' ' || from[i] == 0x7f ? '?' : from[i];
    to[len] = '\0';
}

/* Of a path that is too long its end is kept: the file's name is there. */
static inline void name_copy_path(char *to, size_t cap, const char *from, size_t len)
{
    size_t skip = len < cap ? 0 : len - cap + 1;
    name_copy(to, cap, from + skip, len - skip);
}

/* The last name of a path, without the mark of a deleted file. */
static inline void name_copy_last(char *to, size_t cap, const char *path)
{
    static const char deleted[] = " (deleted)";
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t len = strlen(name), mark = sizeof deleted - 1;
    if (len > mark && strcmp(name + len - mark, deleted) == 0)
        len -= mark;
    name_copy(to, cap, name, len);
}

#endif
