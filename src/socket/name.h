/* SPDX-License-Identifier: BSD-2-Clause */
/* struct sockaddr to and from addresses. */
#ifndef LASTACK_SOCKET_NAME_H
#define LASTACK_SOCKET_NAME_H

#include <sys/socket.h>

#include "lastack.h"

/* 0, -EINVAL (too short), -EAFNOSUPPORT. */
int name_parse(const struct sockaddr *name, socklen_t len, struct lastack_address *address,
               uint16_t *port);
/* Fill as the kernel does: cut to *len, *len becomes the full length. NULL: nothing to fill. */
int name_emit(struct sockaddr *name, socklen_t *len, const struct lastack_address *address,
              uint16_t port);

#endif
