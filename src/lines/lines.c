/* SPDX-License-Identifier: BSD-2-Clause */
#include "lines/lines.h"

struct lines *lines_open(void) { return NULL; }
void lines_close(struct lines *lines) { (void)lines; }
void lines_forget(struct lines *lines, uint32_t pid) { (void)lines; (void)pid; }
unsigned lines_unwind(struct lines *lines, const struct lines_snapshot *snapshot, struct lines_frame frames[LINES_FRAME_MAX])
{ (void)lines; (void)snapshot; (void)frames; return 0; }
bool lines_name(struct lines *lines, uint32_t pid, uint64_t address, struct lines_frame *frame)
{ (void)lines; (void)pid; (void)address; (void)frame; return false; }
unsigned lines_unwind_thread(struct lines *lines, uint32_t pid, uint32_t tid, struct lines_frame frames[LINES_FRAME_MAX])
{ (void)lines; (void)pid; (void)tid; (void)frames; return 0; }
unsigned lines_pick(const struct lines_frame *frames, unsigned frame_cnt) { (void)frames; (void)frame_cnt; return 0; }
void lines_to_site(struct fact_site *site, const struct lines_frame *frames, unsigned frame_cnt)
{ (void)site; (void)frames; (void)frame_cnt; }
