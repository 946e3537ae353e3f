/* SPDX-License-Identifier: BSD-2-Clause */
/* Named reasons for everything that is refused: the list is drop.def. */
#ifndef LASTACK_BASE_DROP_H
#define LASTACK_BASE_DROP_H

enum drop {
#define DROP(name, text, sentence) DROP_##name,
#include "base/drop.def"
#undef DROP
    DROP_CNT
};

const char *drop_name(enum drop reason); /* "tcp-checksum" */
const char *drop_text(enum drop reason); /* one sentence */

#endif
