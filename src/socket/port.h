/* SPDX-License-Identifier: BSD-2-Clause */
/* Local ports: who may bind what (SO_REUSEADDR, SO_REUSEPORT as on Linux), ephemeral ports. */
#ifndef LASTACK_SOCKET_PORT_H
#define LASTACK_SOCKET_PORT_H

#include "socket/socket.h"

void binding_init(struct binding *binding, struct socket *socket,
                  const struct tcp_options *options);
/* Bind to address and port; port 0 takes a free one. 0, -EADDRINUSE. */
int port_bind(lastack *stack, struct binding *binding, const struct lastack_address *address,
              uint16_t port);
/* May the socket listen where it is bound? 0, -EADDRINUSE. */
int port_may_listen(lastack *stack, const struct binding *binding);
void port_release(struct binding *binding);
/* A port for a connection to key->remote, RFC 6056 algorithm 4. Sets key->local_port.
 * 0, -EADDRNOTAVAIL. */
int port_for_connection(lastack *stack, struct lastack_tuple *key);

#endif
