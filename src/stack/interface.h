/* SPDX-License-Identifier: BSD-2-Clause */
/* Interfaces and routes: few, in fixed tables, looked up by longest prefix. */
#ifndef LASTACK_STACK_INTERFACE_H
#define LASTACK_STACK_INTERFACE_H

#include <stdbool.h>
#include <stdint.h>

#include "lastack.h"

#define INTERFACE_MAX 16u
#define ROUTE_MAX     64u

struct interface {
    char name[16];
    struct lastack_address address;
    uint32_t mtu;
    uint8_t prefix_len;
    bool rx_checksum_trusted, tx_checksum_none;
};

struct route {
    struct lastack_address destination;
    uint8_t prefix_len;
    uint8_t interface;
};

struct interface_table {
    struct interface interface[INTERFACE_MAX];
    struct route route[ROUTE_MAX];
    uint32_t interface_cnt, route_cnt;
};

/* With the loopback as number 0. */
void interface_table_init(struct interface_table *table);
/* Number of the new interface, -EINVAL, -ENOSPC. */
int interface_add(struct interface_table *table, const struct lastack_interface *config);
int route_add(struct interface_table *table, const struct lastack_address *destination,
              uint8_t prefix_len, unsigned interface);

/* An address that packets for this stack carry. */
bool address_is_mine(const struct interface_table *table, const struct lastack_address *address);
/* The interface by which packets to `destination` leave; -1: no route. Own addresses leave by
 * the loopback. */
int route_find(const struct interface_table *table, const struct lastack_address *destination);
/* The address this stack uses towards `destination`; false: no route. */
bool route_source(const struct interface_table *table, const struct lastack_address *destination,
                  struct lastack_address *source);

#endif
