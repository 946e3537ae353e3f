/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/interface.h"

#include <errno.h>
#include <string.h>

#include "base/address.h"

#define MTU_MIN 576u
#define MTU_MAX 65535u

void interface_table_init(struct interface_table *table)
{
    memset(table, 0, sizeof *table);
    interface_add(table, &(struct lastack_interface){
                             .name = "lo",
                             .link = LASTACK_LINK_IP,
                             .mtu = MTU_MAX,
                             .address = address_from_ip4(0x7f000001),
                             .prefix_len = 8,
                             .rx_checksum_trusted = true,
                             .tx_checksum_none = true,
                         });
}

int interface_add(struct interface_table *table, const struct lastack_interface *config)
{
    const struct lastack_address *a = &config->address;
    if (config->link != LASTACK_LINK_IP || config->mtu < MTU_MIN || config->mtu > MTU_MAX ||
        config->prefix_len > 32 || !address_is_ip4(a) || address_is_any(a) ||
        address_is_multicast(a) || address_is_broadcast(a))
        return -EINVAL;
    if (table->interface_cnt == INTERFACE_MAX)
        return -ENOSPC;
    unsigned number = table->interface_cnt;
    struct interface *i = &table->interface[number];
    *i = (struct interface){
        .address = *a,
        .mtu = config->mtu,
        .prefix_len = config->prefix_len,
        .rx_checksum_trusted = config->rx_checksum_trusted,
        .tx_checksum_none = config->tx_checksum_none,
    };
    if (config->name != NULL)
        strncpy(i->name, config->name, sizeof i->name - 1);
    table->interface_cnt++;
    int error = route_add(table, a, config->prefix_len, number);
    if (error != 0)
        table->interface_cnt--;
    return error != 0 ? error : (int)number;
}

int route_add(struct interface_table *table, const struct lastack_address *destination,
              uint8_t prefix_len, unsigned interface)
{
    if (prefix_len > 32 || interface >= table->interface_cnt || !address_is_ip4(destination))
        return -EINVAL;
    if (table->route_cnt == ROUTE_MAX)
        return -ENOSPC;
    /* Longest prefix first, so that the first match is the best. */
    uint32_t at = table->route_cnt++;
    while (at > 0 && table->route[at - 1].prefix_len < prefix_len) {
        table->route[at] = table->route[at - 1];
        at--;
    }
    table->route[at] = (struct route){*destination, prefix_len, (uint8_t)interface};
    return 0;
}

bool address_is_mine(const struct interface_table *table, const struct lastack_address *address)
{
    if (address_is_loopback(address))
        return true;
    for (uint32_t i = 0; i < table->interface_cnt; i++)
        if (address_equal(&table->interface[i].address, address))
            return true;
    return false;
}

int route_find(const struct interface_table *table, const struct lastack_address *destination)
{
    if (address_is_mine(table, destination))
        return LASTACK_LOOPBACK;
    for (uint32_t i = 0; i < table->route_cnt; i++) {
        const struct route *r = &table->route[i];
        if (address_in_prefix(destination, &r->destination, r->prefix_len))
            return r->interface;
    }
    return -1;
}

bool route_source(const struct interface_table *table, const struct lastack_address *destination,
                  struct lastack_address *source)
{
    int number = route_find(table, destination);
    if (number < 0)
        return false;
    *source = table->interface[number].address;
    if (number == LASTACK_LOOPBACK && !address_is_loopback(destination))
        *source = *destination; /* to one's own address, from it */
    return true;
}
