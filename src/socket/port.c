/* SPDX-License-Identifier: BSD-2-Clause */
#include "socket/port.h"

#include <errno.h>

#include "base/address.h"
#include "base/siphash.h"

void binding_init(struct binding *b, struct socket *s, const struct tcp_options *options)
{
    b->socket = s;
    b->address = address_from_ip4(0);
    b->options = *options;
}

static bool overlap(const struct lastack_address *a, const struct lastack_address *b)
{
    return address_is_any(a) || address_is_any(b) || address_equal(a, b);
}

/* Linux' rule: two may share a port if both say SO_REUSEPORT, or both say SO_REUSEADDR and the
 * other does not listen. */
static bool may_share(const struct socket *own, const struct socket *other)
{
    if (own->reuse_port && other->reuse_port)
        return true;
    return own->reuse_address && other->reuse_address && other->body != BODY_LISTENER;
}

static bool port_is_free(lastack *stack, const struct binding *own,
                         const struct lastack_address *address, uint16_t port)
{
    const struct binding *other = stack->bindings_by_port[port];
    for (; other != NULL; other = other->next)
        if (other != own && overlap(address, &other->address) &&
            !may_share(own->socket, other->socket))
            return false;
    /* Connections and time-wait entries whose listener is gone hold the port too. */
    const struct port_use *use = &tcp_of(stack)->flows.port_use[port];
    if (use->flow_cnt == 0 || !(use->mixed || overlap(address, &use->local)))
        return true;
    return own->socket->reuse_port || (own->socket->reuse_address && use->strict_cnt == 0);
}

static bool port_is_unbound(const lastack *stack, uint16_t port)
{
    return stack->bindings_by_port[port] == NULL;
}

static uint32_t port_range(const lastack *stack)
{
    const struct lastack_config *config = &stack->stack.tcp.config;
    return (uint32_t)config->port_high - config->port_low + 1;
}

static uint16_t port_any(lastack *stack)
{
    struct tcp *tcp = tcp_of(stack);
    uint32_t range = port_range(stack), first = random_below(&tcp->random, range);
    for (uint32_t i = 0; i < range; i++) {
        uint16_t port = (uint16_t)(tcp->config.port_low + (first + i) % range);
        if (tcp->flows.port_use[port].flow_cnt == 0 && port_is_unbound(stack, port))
            return port;
    }
    return 0;
}

int port_bind(lastack *stack, struct binding *b, const struct lastack_address *address,
              uint16_t port)
{
    if (port == 0)
        port = port_any(stack);
    if (port == 0 || !port_is_free(stack, b, address, port))
        return -EADDRINUSE;
    b->address = *address;
    b->port = port;
    b->back = &stack->bindings_by_port[port];
    b->next = *b->back;
    if (b->next != NULL)
        b->next->back = &b->next;
    *b->back = b;
    return 0;
}

int port_may_listen(lastack *stack, const struct binding *b)
{
    const struct binding *other = stack->bindings_by_port[b->port];
    for (; other != NULL; other = other->next)
        if (other != b && overlap(&b->address, &other->address) &&
            other->socket->body == BODY_LISTENER &&
            !(b->socket->reuse_port && other->socket->reuse_port))
            return -EADDRINUSE;
    return 0;
}

void port_release(struct binding *b)
{
    if (b->port == 0)
        return;
    *b->back = b->next;
    if (b->next != NULL)
        b->next->back = b->back;
    b->port = 0;
    b->address = address_from_ip4(0);
}

int port_for_connection(lastack *stack, struct lastack_tuple *key)
{
    struct tcp *tcp = tcp_of(stack);
    uint32_t range = port_range(stack);
    key->local_port = 0;
    uint32_t offset = (uint32_t)siphash13(tcp->port_key, key, sizeof *key);
    for (uint32_t i = 0; i < range; i++) {
        uint32_t step = offset + tcp->port_counter++;
        key->local_port = (uint16_t)(tcp->config.port_low + step % range);
        if (flow_find(&tcp->flows, key) == NULL && port_is_unbound(stack, key->local_port))
            return 0;
    }
    return -EADDRNOTAVAIL;
}
