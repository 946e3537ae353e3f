/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A TUN device of Linux: IP packets that the kernel routes to it are read here, packets written
 * here arrive in the kernel as if from a wire. It lives in the network namespace in which it is
 * opened. One thread at a time.
 */
#ifndef LASTACK_DEVICE_TUN_H
#define LASTACK_DEVICE_TUN_H

#include <stddef.h>
#include <stdint.h>

#include "lastack.h"

#define TUN_NAME_LEN 16
#define TUN_BATCH 32 /* packets of one tun_read at most */

struct tun {
    int fd; /* for poll; -1: not open */
    char name[TUN_NAME_LEN];
    uint32_t mtu;
    size_t stride;         /* bytes of buffer per packet */
    uint8_t *buffer;       /* TUN_BATCH of them */
    uint64_t write_lost;   /* packets the kernel did not take */
    int write_errno;       /* why not, the last time */
    char error[320];       /* after a failure: what happened and what to do, for people */
};

/* Open device `name`, made if it is not there ("" or NULL: the kernel picks a name; "vpn%d": with
 * a number). Non-blocking, close-on-exec. 0, or -errno with tun->error set. */
int tun_open(struct tun *tun, const char *name);

/* Give the kernel's side its address, the MTU (576 .. 65535), and bring the device up. 0, or
 * -errno with tun->error set. Without this call the device is as somebody else set it up. */
int tun_configure(struct tun *tun, const struct lastack_address *address, uint8_t prefix_len,
                  uint32_t mtu);

/* Packets that wait, at most `max` and TUN_BATCH, as frames of `interface`. They stay valid until
 * the next call. Returns how many (0: none waits), or -errno. */
int tun_read(struct tun *tun, struct lastack_frame *frames, size_t max, uint32_t interface);

/* Send packets. What the kernel does not take is lost, as on any wire: see write_lost. */
void tun_write(struct tun *tun, const struct lastack_frame *frames, size_t frame_cnt);

/* A device that this program made vanishes. Safe after a failed open, and twice. */
void tun_close(struct tun *tun);

#endif
