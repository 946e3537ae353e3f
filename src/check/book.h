/* SPDX-License-Identifier: BSD-2-Clause */
/* The book of connections: where each was born, and which calls were made to end it. */
#ifndef LASTACK_CHECK_BOOK_H
#define LASTACK_CHECK_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "check/look.h"
#include "check/place.h"
#include "check/table.h"
#include "check/tree.h"

#define BOOK_CALL_MAX 4

struct book_call {
    enum fact_call_kind kind;
    uint32_t pid, tid;
    int fd;
    bool cut_off; /* a close() that an exit kept from happening, as far as is known */
    uint64_t ns;
    struct place *place; /* NULL: unknown */
    char program[FACT_PROGRAM_LEN];
};

struct connection {
    struct table_node node; /* in book->all, by inode */
    struct lastack_tuple tuple;
    uint64_t cookie, net, born_ns; /* born_ns 0: its birth was not seen */
    uint32_t born_pid;
    char born_program[FACT_PROGRAM_LEN];
    struct place *birth;
    bool has_tuple, passive;
    bool met;     /* known to have been connected */
    bool outside; /* it was there before the program: none of its business */
    bool ended;   /* somebody closed a descriptor of it, or shut it down */
    bool told;    /* in a report */
    bool gone;    /* nothing refers to it any more */
    uint8_t call_cnt;
    struct book_call calls[BOOK_CALL_MAX]; /* the newest */
};

struct book {
    struct hash_table all;
    uint32_t limit;    /* of entries; then those that are gone are swept out */
    uint64_t born_cnt; /* connections, since the start */
    bool failed;       /* out of memory */
};

struct connection *book_find(const struct book *book, uint64_t inode);
/* The entry of this socket, made if there is none. NULL: out of memory. */
struct connection *book_entry(struct book *book, const struct tree *tree, uint64_t inode);
/* Born by `process` in accept() or connect(). */
struct connection *book_birth(struct book *book, const struct tree *tree, uint64_t inode,
                              const struct process *process, const struct look *look,
                              struct place *birth);
/* No connection came of it. */
void book_strike(struct book *book, struct connection *connection);
void book_call(struct connection *connection, const struct book_call *call);
/* All sockets that any process of the tree has open: sorted inodes, malloc'ed. */
struct inode_set {
    uint64_t *all;
    uint32_t cnt;
    bool failed;
};
void inode_set_of(struct inode_set *set, const struct tree *tree);
bool inode_set_has(const struct inode_set *set, uint64_t inode);
/* Calls `each` for every descriptor of `tid` that is a socket. 0 or -errno. */
int each_socket(uint32_t tid, void (*each)(void *arg, int fd, uint64_t inode), void *arg);

#endif
