/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets in and out of the supervisor's stack. */
#ifndef LASTACK_RUN_DEVICE_H
#define LASTACK_RUN_DEVICE_H

struct supervisor;

/* Opens what the options ask for and adds the interface. 0, or -errno after a message. */
int device_open(struct supervisor *s);
void device_close(struct supervisor *s);
/* Packets that wait in the TUN go to the stack. */
void device_rx(struct supervisor *s);
/* Frames the stack owes go out. */
void device_tx(struct supervisor *s);

#endif
