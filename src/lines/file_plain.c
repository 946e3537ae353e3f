/* SPDX-License-Identifier: BSD-2-Clause */
/* Files in a build without elfutils: they have no names inside and no way to the caller. */
#include <unistd.h>

#include "lines/file.h"

bool memory_word(const struct memory *memory, uint64_t address, uint64_t *word)
{
    (void)memory, (void)address, (void)word;
    return false;
}

struct file *file_open(int fd, uint32_t pid, const char *path)
{
    (void)pid, (void)path;
    close(fd);
    return NULL;
}

void file_close(struct file *file)
{
    (void)file;
}

bool file_address(const struct file *file, uint64_t offset, uint64_t *address)
{
    (void)file, (void)offset, (void)address;
    return false;
}

unsigned file_name(struct file *file, uint64_t address, struct lines_frame *frames, unsigned max)
{
    (void)file, (void)address, (void)frames, (void)max;
    return 0;
}

bool file_function(struct file *file, uint64_t address, uint64_t *start)
{
    (void)file, (void)address, (void)start;
    return false;
}

enum step file_step(struct file *file, uint64_t address, struct registers *registers,
                    const struct memory *memory)
{
    (void)file, (void)address, (void)registers, (void)memory;
    return STEP_NO_RULE;
}
