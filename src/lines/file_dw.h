/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of file.c and unwind.c: one ELF file as elfutils sees it. */
#ifndef LASTACK_LINES_FILE_DW_H
#define LASTACK_LINES_FILE_DW_H

#include <elfutils/libdwfl.h>

#include "lines/file.h"

#define SEGMENT_MAX 16
#define NAME_CACHE  1024 /* addresses, a power of two */

struct segment {
    uint64_t address, offset, len;
};

/* One function symbol. */
struct symbol {
    uint64_t start, len;
    const char *name; /* the ELF file's */
};

/* Addresses that a compilation unit covers. */
struct unit_range {
    uint64_t start, end;
    Dwarf_Off unit;
};

/* What was said of one address. */
struct named {
    uint64_t address;
    struct lines_frame *frames;
    unsigned cnt;
    bool used;
};

struct file {
    Dwfl *dwfl;
    Dwfl_Module *module;
    Dwarf_CFI *cfi[2]; /* .eh_frame, .debug_frame */
    GElf_Addr cfi_bias[2];
    bool cfi_looked[2];
    bool plain; /* of the system: symbols suffice, its debug information is not read */
    uint32_t pid;
    char *path;
    struct segment segments[SEGMENT_MAX];
    unsigned segment_cnt;
    struct symbol *symbols; /* by address */
    size_t symbol_cnt;
    bool symbols_looked;
    struct unit_range *ranges; /* by address; for files without .debug_aranges */
    size_t range_cnt;
    bool ranges_looked;
    struct named names[NAME_CACHE];
};

#endif
