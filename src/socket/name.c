/* SPDX-License-Identifier: BSD-2-Clause */
#include "socket/name.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/address.h"
#include "socket/process.h"

int name_parse(const struct sockaddr *name, socklen_t len, struct lastack_address *address,
               uint16_t *port)
{
    struct sockaddr_in in;
    if (name == NULL)
        return -EFAULT;
    if (len < sizeof in)
        return -EINVAL;
    memcpy(&in, name, sizeof in);
    bool any = in.sin_family == AF_UNSPEC && in.sin_addr.s_addr == INADDR_ANY; /* as Linux */
    if (in.sin_family != AF_INET && !any)
        return -EAFNOSUPPORT;
    *address = address_from_ip4(load_be32(&in.sin_addr));
    *port = load_be16(&in.sin_port);
    return 0;
}

int name_emit(struct sockaddr *name, socklen_t *len, const struct lastack_address *address,
              uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    if (name == NULL || len == NULL)
        return 0;
    if (*len > INT32_MAX) /* negative, as Linux reads it */
        return -EINVAL;
    store_be32(&in.sin_addr, address_ip4(address));
    store_be16(&in.sin_port, port);
    memcpy(name, &in, MIN(*len, (socklen_t)sizeof in));
    *len = sizeof in;
    return 0;
}

int lastack_getsockname(lastack_process *p, int fd, struct sockaddr *name, socklen_t *len)
{
    int error;
    const struct socket *s = process_socket(p, fd, &error);
    if (s == NULL)
        return error;
    if (name == NULL || len == NULL)
        return -EFAULT;
    if (s->body == BODY_CONNECTION) {
        const struct lastack_tuple *key = &s->connection->flow.key;
        return name_emit(name, len, &key->local, key->local_port);
    }
    return name_emit(name, len, &s->binding->address, s->binding->port);
}

int lastack_getpeername(lastack_process *p, int fd, struct sockaddr *name, socklen_t *len)
{
    int error;
    const struct socket *s = process_socket(p, fd, &error);
    if (s == NULL)
        return error;
    const struct connection *c = socket_connection(s);
    if (c == NULL || connection_state(c) == LASTACK_CLOSED ||
        connection_state(c) == LASTACK_SYN_SENT)
        return -ENOTCONN;
    if (name == NULL || len == NULL)
        return -EFAULT;
    return name_emit(name, len, &c->flow.key.remote, c->flow.key.remote_port);
}
