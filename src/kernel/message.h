/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors that wait in an AF_UNIX message. Private. */
#ifndef LASTACK_KERNEL_MESSAGE_H
#define LASTACK_KERNEL_MESSAGE_H

#include <stdint.h>

#define MESSAGE_INODE_MAX 253u /* SCM_MAX_FD: what one message can carry */

/* The inodes of the sockets in the first message with descriptors of the AF_UNIX socket `inode`, which
 * process `pid` has as `fd`; returns how many descriptors were seen. The message stays where it is. */
uint32_t message_peek(uint32_t pid, int fd, uint64_t inode, uint64_t inodes[MESSAGE_INODE_MAX]);

#endif
