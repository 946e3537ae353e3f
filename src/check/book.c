/* SPDX-License-Identifier: BSD-2-Clause */
/* Entries stay after a close: others may hold the socket. When there are too many, those that
 * nobody in the tree has open any more are swept out. */
#include "check/book.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_START 16384u

/* ---- descriptors ---- */

int each_socket(uint32_t tid, void (*each)(void *arg, int fd, uint64_t inode), void *arg)
{
    char path[48];
    const struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%u/fd", tid);
    DIR *folder = opendir(path);
    if (!folder)
        return -errno;
    while ((entry = readdir(folder))) {
        int fd = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : -1;
        uint64_t inode = fd < 0 ? 0 : look_inode(tid, fd);
        if (inode)
            each(arg, fd, inode);
    }
    closedir(folder);
    return 0;
}

static void add_inode(void *arg, int fd, uint64_t inode)
{
    struct inode_set *set = arg;
    (void)fd;
    if ((set->cnt & (set->cnt - 1)) == 0) {
        uint64_t *all = realloc(set->all, (set->cnt ? set->cnt * 2 : 1) * sizeof *all);
        if (!all) {
            set->failed = true;
            return;
        }
        set->all = all;
    }
    set->all[set->cnt++] = inode;
}

static int compare_inodes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void inode_set_of(struct inode_set *set, const struct tree *tree)
{
    memset(set, 0, sizeof *set);
    /* A thread that has its end behind it shows no descriptors; the others share a table. */
    for (struct task *t = hash_next(&tree->tasks, NULL); t; t = hash_next(&tree->tasks, t)) {
        const struct task *first = hash_find(&tree->tasks, t->process->pid);
        if (!t->leaving && (t == first || !first || first->leaving))
            each_socket(t->tid, add_inode, set);
    }
    if (set->cnt)
        qsort(set->all, set->cnt, sizeof *set->all, compare_inodes);
}

bool inode_set_has(const struct inode_set *set, uint64_t inode)
{
    return set->cnt && bsearch(&inode, set->all, set->cnt, sizeof *set->all, compare_inodes);
}

/* ---- entries ---- */

struct connection *book_find(const struct book *book, uint64_t inode)
{
    return hash_find(&book->all, inode);
}

static void sweep(struct book *book, const struct tree *tree)
{
    struct inode_set open;
    inode_set_of(&open, tree);
    for (struct connection *c = hash_next(&book->all, NULL), *next; c && !open.failed; c = next) {
        next = hash_next(&book->all, c);
        if (c->told || inode_set_has(&open, c->node.key))
            continue;
        hash_remove(&book->all, &c->node);
        free(c);
    }
    free(open.all);
    book->limit = book->all.cnt * 2 < LIMIT_START ? LIMIT_START : book->all.cnt * 2;
}

struct connection *book_entry(struct book *book, const struct tree *tree, uint64_t inode)
{
    struct connection *c = book_find(book, inode);
    if (c)
        return c;
    if (book->all.cnt >= (book->limit ? book->limit : LIMIT_START))
        sweep(book, tree);
    c = calloc(1, sizeof *c);
    if (c)
        c->node.key = inode;
    if (!c || !hash_add(&book->all, &c->node)) {
        free(c);
        book->failed = true;
        return NULL;
    }
    return c;
}

struct connection *book_birth(struct book *book, const struct tree *tree, uint64_t inode,
                              const struct process *process, const struct look *look,
                              struct place *birth)
{
    struct connection *c = book_entry(book, tree, inode);
    if (!c || c->outside || (c->born_ns && c->met))
        return c; /* connect() again, to hear how it went */
    if (c->born_ns)
        book_strike(book, c), c = book_entry(book, tree, inode);
    if (!c)
        return NULL;
    c->tuple = look->tuple;
    c->has_tuple = look->has_tuple;
    c->met = look->met;
    c->cookie = look->cookie;
    c->net = look->net;
    c->born_ns = check_now_ns();
    c->born_pid = process->pid;
    snprintf(c->born_program, sizeof c->born_program, "%s", process->program);
    c->birth = birth;
    book->born_cnt++;
    if (birth)
        birth->born_cnt++;
    return c;
}

void book_strike(struct book *book, struct connection *c)
{
    if (c->born_ns)
        book->born_cnt--;
    if (c->birth)
        c->birth->born_cnt--;
    hash_remove(&book->all, &c->node);
    free(c);
}

void book_call(struct connection *c, const struct book_call *call)
{
    if (c->call_cnt == BOOK_CALL_MAX) {
        memmove(&c->calls[0], &c->calls[1], (BOOK_CALL_MAX - 1) * sizeof c->calls[0]);
        c->call_cnt--;
    }
    c->calls[c->call_cnt++] = *call;
    if (!c->ended && call->kind != FACT_CALL_EXIT) {
        c->ended = true;
        place_ended(c->birth, call->place);
    }
}
