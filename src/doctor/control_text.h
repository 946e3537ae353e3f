/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two ends of the control socket share besides control.h. */
#ifndef LASTACK_DOCTOR_CONTROL_TEXT_H
#define LASTACK_DOCTOR_CONTROL_TEXT_H

#include <stdbool.h>
#include <sys/un.h>

#include "doctor/control.h"

struct json;

/* From the "info" object of a reply. */
void control_info_read(struct control_info *info, const struct json *object);
/* DIR/NAME.sock; false if it is too long for a socket address. */
bool control_address(struct sockaddr_un *address, const char *dir, const char *name);
/* True if `dir` is a directory of ours that others cannot write to. -ENOENT, -EPERM (`why`). */
int control_dir_check(const char *dir, char why[CONTROL_WHY_LEN]);

#endif
