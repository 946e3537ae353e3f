/* SPDX-License-Identifier: BSD-2-Clause */
/* Names and sentences of drop.def. */
#include "base/drop.h"

#include <stddef.h>

static const struct {
    const char *name, *text;
} drops[] = {
#define DROP(name, text, sentence) {text, sentence},
#include "base/drop.def"
#undef DROP
};

const char *drop_name(enum drop reason)
{
    return (unsigned)reason < DROP_CNT ? drops[reason].name : NULL;
}

const char *drop_text(enum drop reason)
{
    return (unsigned)reason < DROP_CNT ? drops[reason].text : NULL;
}
