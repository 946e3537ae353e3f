/* SPDX-License-Identifier: BSD-2-Clause */
/* Initial sequence numbers (RFC 6528) and SYN cookies. */
#ifndef LASTACK_TCP_ISN_H
#define LASTACK_TCP_ISN_H

#include <stdbool.h>
#include <stdint.h>

#include "lastack.h"

struct tcp;

uint32_t isn_make(struct tcp *tcp, const struct lastack_tuple *key);
/* An initial sequence number that carries a hash of the connection, the minute and the MSS. */
uint32_t cookie_make(struct tcp *tcp, const struct lastack_tuple *key, uint32_t irs, uint16_t mss);
/* True if `iss` is a cookie of the last two periods; *mss is what it carries (rounded down). */
bool cookie_check(struct tcp *tcp, const struct lastack_tuple *key, uint32_t irs, uint32_t iss,
                  uint16_t *mss);

#endif
