/* SPDX-License-Identifier: BSD-2-Clause */
/* pcapng blocks (draft-ietf-opsawg-pcapng): bytes for a file that Wireshark opens. Pure: each call
 * writes a whole block into the caller's buffer and returns its length, or 0 if it does not fit. */
#ifndef LASTACK_WIRE_PCAPNG_H
#define LASTACK_WIRE_PCAPNG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define PCAPNG_LINK_RAW 101 /* starts with the IP header */

size_t pcapng_section(uint8_t *out, size_t cap, const char *application);
/* Interfaces are numbered 0, 1, ... in the order of their blocks. Time stamps are nanoseconds. */
size_t pcapng_interface(uint8_t *out, size_t cap, uint16_t link, const char *name);
/* `comment` may be NULL; `inbound`: 1 in, 0 out (epb_flags). */
size_t pcapng_packet(uint8_t *out, size_t cap, uint32_t interface, uint64_t time_ns,
                     const struct iovec *iov, size_t iov_cnt, int inbound, const char *comment);
/* Bytes that pcapng_packet needs for a packet and comment of these lengths. */
size_t pcapng_packet_len(size_t packet_len, size_t comment_len);

#endif
