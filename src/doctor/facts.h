/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The neutral record of facts: what is known about one socket, wherever it lives. A source
 * (sources/) fills it, rules (rules.h) judge it, json carries it. It holds no pointer into a stack.
 *
 * Unknown is a value and never the same as "no" or "not yet": a number that the source cannot know
 * is FACT_UNKNOWN, a moment that has not come is FACT_NEVER, a yes/no is a `fact_bool`.
 * All ages are microseconds before the moment the facts were taken.
 */
#ifndef LASTACK_DOCTOR_FACTS_H
#define LASTACK_DOCTOR_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lastack.h"

#define FACT_UNKNOWN     UINT64_MAX       /* of every uint64_t below */
#define FACT_NEVER       (UINT64_MAX - 1) /* of ages and deadlines: not happened, not running */
#define FACT_NO_PID      0u               /* unknown process */
#define FACT_NO_FD       (-1)             /* unknown descriptor, or none */
#define FACT_PROGRAM_LEN 32 /* bytes of a program's name with its NUL; may hold any byte */

static inline bool fact_known(uint64_t v)
{
    return v < FACT_NEVER;
}

/* Yes, no, or not to be known from here. */
typedef enum { FACT_NO = 0, FACT_YES = 1, FACT_MAYBE = -1 } fact_bool;

/* What a holder is. A descriptor is the usual one; the others are how a reference hides. */
enum fact_holder_kind {
    FACT_HOLDER_DESCRIPTOR,
    FACT_HOLDER_MESSAGE, /* in flight in a message (SCM_RIGHTS), not yet received */
    FACT_HOLDER_CALL,    /* a thread inside a call on a descriptor that is closed meanwhile */
    FACT_HOLDER_RING,    /* registered with, or used by, an io_uring */
    FACT_HOLDER_MAPPING, /* mmap */
    FACT_HOLDER_OTHER,   /* a reference that could not be named */
    FACT_HOLDER_KIND_CNT
};

/* How it came to its reference. */
enum fact_origin {
    FACT_ORIGIN_UNKNOWN,
    FACT_ORIGIN_SOCKET,
    FACT_ORIGIN_ACCEPT,
    FACT_ORIGIN_DUP,
    FACT_ORIGIN_FORK,
    FACT_ORIGIN_EXEC, /* kept across exec */
    FACT_ORIGIN_MESSAGE,
    FACT_ORIGIN_CNT
};

/* What its process is doing at this moment. */
enum fact_doing {
    FACT_DOING_UNKNOWN,
    FACT_DOING_RUNNING, /* on a CPU or ready to be */
    FACT_DOING_ACCEPT,
    FACT_DOING_RECV, /* read, recv, recvmsg, ... */
    FACT_DOING_SEND,
    FACT_DOING_CONNECT,
    FACT_DOING_POLL,       /* poll, select, epoll_wait */
    FACT_DOING_WAIT_CHILD, /* wait, waitpid */
    FACT_DOING_SLEEP,      /* nanosleep, pause, sigsuspend */
    FACT_DOING_LOCK,       /* futex */
    FACT_DOING_OTHER,      /* another call: doing_text names it */
    FACT_DOING_STOPPED,    /* by a signal or a tracer */
    FACT_DOING_ZOMBIE,
    FACT_DOING_CNT
};

/* A place in a program. The list owns them, each once (facts_site_add). */
struct fact_site {
    char function[64]; /* "": unknown. All three are raw bytes: escape before showing */
    char file[128];    /* source file; "": unknown */
    char module[64];   /* program or library by its last name; "[jit]" */
    uint32_t line;     /* 0: unknown */
    char *stack;       /* lines "function file:line" or "function (module)", innermost first,
                          the place itself among them; owned; NULL: unknown */
};
typedef uint32_t fact_site_id; /* 0: unknown; else place in the list's `sites`, plus 1 */

#define FACT_NO_CPU UINT32_MAX

/* One reference to the socket. */
struct fact_holder {
    enum fact_holder_kind kind;
    uint32_t pid;                   /* FACT_NO_PID: unknown */
    int32_t fd;                     /* FACT_NO_FD: it is no descriptor */
    char program[FACT_PROGRAM_LEN]; /* "": unknown. Raw bytes: escape before showing */
    enum fact_origin origin;
    uint64_t since_us; /* age of the reference */
    fact_bool close_on_exec;
    enum fact_doing doing;
    uint64_t doing_id;   /* of ACCEPT, RECV, SEND, CONNECT: the id of the socket it waits
                            on (facts.id, or FACT_UNKNOWN) */
    char doing_text[24]; /* name of the call, "" if not known */
    uint32_t threads;    /* of its process; 0: unknown */
    fact_bool watching;  /* would be told (poll, epoll, blocked call) if it got readable */
    uint32_t tid;        /* CALL, RING: the thread; DESCRIPTOR: of a thread with a table of its
                            own (CLONE_FILES not shared); 0: the process */
    uint32_t fd_cnt, fd_limit; /* descriptors of its process and RLIMIT_NOFILE; 0: unknown */
    uint32_t cpu_percent;      /* of its process between two looks, 100 is one core; FACT_NO_CPU */
    uint64_t process_us;       /* age of its process */
    fact_site_id doing_at;     /* where its thread sits, if that could be looked at */
    char where[40];            /* MESSAGE: the AF_UNIX socket ("pid 12 fd 3"); RING: the ring;
                                  MAPPING: the address; raw bytes */
};

/* Who would be told if the socket got readable. The list of a record is complete if
 * `watchers_known` says so: then an empty one means that nobody will ever notice. */
enum fact_watch_kind {
    FACT_WATCH_EPOLL,
    FACT_WATCH_POLL, /* a thread inside poll or select */
    FACT_WATCH_CALL, /* a thread blocked in recv, accept, connect, send, ... on it */
    FACT_WATCH_RING, /* an io_uring request */
    FACT_WATCH_OTHER,
    FACT_WATCH_KIND_CNT
};

struct fact_watch {
    enum fact_watch_kind kind;
    uint32_t pid, tid;
    int32_t fd;            /* EPOLL: the descriptor of the epoll */
    int32_t target_fd;     /* EPOLL: the number under which the socket was added */
    uint32_t events;       /* EPOLL*, POLL* bits asked for */
    fact_bool edge;        /* EPOLLET */
    fact_bool spent;       /* one-shot that fired and was not armed again */
    fact_bool waited;      /* EPOLL: a thread sits in epoll_wait on it now */
    enum fact_doing doing; /* of the thread that should come back to it, if it is not there */
    char doing_text[24];
    uint64_t data;         /* EPOLL: the word that the program gave; FACT_UNKNOWN */
    fact_site_id doing_at; /* where that thread sits */
    char object[96];       /* EPOLL: what `data` points at, if its code pointers have names */
};

/* A call by a program that concerns the end of the connection. */
enum fact_call_kind {
    FACT_CALL_NONE,
    FACT_CALL_CLOSE,
    FACT_CALL_DUP_OVER, /* dup2 over it */
    FACT_CALL_EXEC,     /* close-on-exec */
    FACT_CALL_EXIT,     /* its process died */
    FACT_CALL_MESSAGE_DROP,
    FACT_CALL_SHUT_RD,
    FACT_CALL_SHUT_WR,
    FACT_CALL_SHUT_RDWR,
    FACT_CALL_OPERATOR, /* `lastack end` */
    FACT_CALL_KIND_CNT
};

struct fact_call {
    enum fact_call_kind kind; /* NONE: unknown or has not happened */
    uint64_t age_us;
    uint32_t pid;
    char program[FACT_PROGRAM_LEN];
    int32_t fd;
    uint64_t left;   /* closes: references that stayed */
    fact_site_id at; /* where the call was made */
};

#define FACT_CLOSE_MAX 8 /* the newest closes that are kept */

/* What has become of the other end, as far as it can be seen from this machine. */
enum fact_peer {
    FACT_PEER_UNKNOWN, /* elsewhere, or not looked for */
    FACT_PEER_HERE,    /* among the records (peer_id), and a program may hold it */
    FACT_PEER_ORPHAN,  /* among the records, and no program holds it: nobody reads it */
    FACT_PEER_GONE,    /* was here, and nothing has it any more: what is sent there is answered by a RST */
    FACT_PEER_CNT
};

/* Where a record lives. Kernel records have stack "kernel", or "kernel@NAME" for the sockets of
 * another network namespace (NAME: of ip netns, or its inode number). */
enum fact_source { FACT_SOURCE_LASTACK, FACT_SOURCE_KERNEL, FACT_SOURCE_CNT };

struct facts {
    /* who */
    enum fact_source source;
    uint64_t id;        /* within its stack; 0: half-open and time-wait entries */
    uint64_t socket_id; /* what holders hold; 0: no socket */
    char stack[32];     /* name of the stack it lives in */
    struct lastack_tuple tuple;
    enum lastack_state state; /* LISTEN: a listener; CLOSED: a socket without connection */
    fact_bool passive;        /* came in through a listener */
    uint64_t peer_id;         /* the other end: in the same stack, or in another network namespace
                                 of the kernel (facts_list_peer); 0: not here */
    enum fact_peer peer_end;  /* GONE: by the source; else relate */
    uint64_t relay_id;        /* likely the other leg of a proxy (relate); 0: none */
    uint64_t alike_cnt;       /* that this side opened and the peer has ended: how many the same
                                 process has to the same service, itself among them (relate) */
    uint64_t inode;           /* of the socket, as /proc shows it (KERNEL: and ss -e); 0: none */
    uint64_t netns;           /* KERNEL: inode of its network namespace; 0: unknown */
    uint64_t taken_ns;        /* KERNEL: CLOCK_MONOTONIC, from which its ages count; 0: unknown */
    char container[64];       /* container or pod of a holder, by its cgroup; "": none */

    /* whose */
    fact_bool unaccepted; /* in a listener's queue */
    uint64_t listener_id; /* of an unaccepted one; 0: none or unknown */
    fact_bool orphan;     /* no descriptor any more; the stack finishes the protocol */
    uint64_t references;
    struct fact_holder *holders; /* owned by the list; holder_cnt of them */
    uint32_t holder_cnt, holder_cap;
    bool holders_lent;          /* they lie in the list's `block` */
    fact_bool holders_known;    /* every holder that there is could be looked for */
    struct fact_watch *watches; /* owned by the list */
    uint32_t watch_cnt;
    fact_bool watchers_known;
    /* Who made the socket; pid FACT_NO_PID: unknown, and the rest with it. */
    uint32_t creator_pid;
    char creator_program[FACT_PROGRAM_LEN];
    fact_bool creator_alive, creator_holds;

    /* both halves */
    fact_bool shut_rd, shut_wr;  /* asked for by this side's programs */
    uint64_t fin_in_us;          /* age of the peer's FIN */
    uint64_t fin_out_us;         /* age of our FIN (queued) */
    fact_bool fin_acked;         /* our FIN was acknowledged */
    struct fact_call fin_out_by; /* the call that queued it */
    uint64_t eof_read_us;        /* age of the first receive that returned 0 */
    uint32_t eof_read_pid;       /* whose it was; FACT_NO_PID: unknown */
    fact_bool fin_consumed;      /* the read position is past the peer's FIN: either a receive
                                    returned 0, or one took exactly the last bytes */
    fact_bool moved;             /* bytes moved between two looks at it */
    fact_bool answered;          /* bytes were given to be sent after the peer's FIN, as somebody
                                    counted who saw it; MAYBE: only ages may tell */
    fact_bool at_least;          /* fin_in, fin_out, born and state ages are lower bounds */

    /* closes of its descriptors, oldest first; the last one is closes[close_cnt - 1] */
    struct fact_call *closes; /* room for FACT_CLOSE_MAX, owned by the list; NULL: none */
    uint32_t close_cnt;
    fact_bool close_all; /* `closes` holds every close since birth */

    /* where: filled by a recorder */
    fact_site_id born_at, eof_read_at;
    fact_site_id sibling_close_at; /* where connections born at the same place are closed */
    uint64_t sibling_cnt, sibling_closed_cnt; /* of that birth place */
    uint64_t sibling_linger_us; /* the longest that one of them took from the end that it read to
                                   its close() */

    /* queues */
    uint64_t receive_queue; /* bytes not read; listener: connections that wait for accept */
    uint64_t send_queue;    /* bytes not acknowledged; listener: backlog */
    uint64_t send_unsent;   /* of these, never sent */
    uint64_t receive_window, send_window; /* bytes: last offered by us / by the peer */
    uint64_t overflows; /* listener: connections turned away since its start, or the namespace's */

    /* ages */
    uint64_t born_us, state_us, data_in_us, data_out_us;
    uint64_t bytes_in, bytes_out;

    /* what ends it */
    enum lastack_timer timer;
    uint64_t timer_us;        /* until it is due, from now */
    uint64_t retransmits;     /* of the segment in hand */
    uint64_t probes;          /* zero-window probes without an opening */
    int error;                /* pending SO_ERROR, positive; -1: unknown */
    int last_error;           /* what ended it; -1: unknown */
    fact_bool keepalive;      /* SO_KEEPALIVE */
    uint64_t user_timeout_us; /* TCP_USER_TIMEOUT; NEVER: not set */
};

/* All fields unknown or never; no holders. */
void facts_init(struct facts *facts);

/* A list owns its records, what hangs on them, and their sites. */
struct facts_list {
    struct facts *all;
    uint32_t cnt, cap;
    struct fact_site *sites;
    uint32_t site_cnt, site_cap;
    bool failed;       /* out of memory: the list is not complete */
    /* Hash of ids (place + 1; 0: free), made by facts_list_relate; used while complete. */
    uint32_t *by_id, by_id_mask, by_id_cnt;
    struct fact_holder *block; /* facts_list_reserve */
    uint32_t block_cnt, block_cap;
};

void facts_list_init(struct facts_list *list);
void facts_list_free(struct facts_list *list);
/* One more record, initialised; valid until the next add. NULL: out of memory (`failed` is set). */
struct facts *facts_list_add(struct facts_list *list);
/* Room at once, in an empty list, for a source that knows how many records and holders will come. */
void facts_list_reserve(struct facts_list *list, uint32_t cnt, uint32_t holder_cnt);
/* One more holder, all unknown; valid until the next one. NULL: out of memory. */
struct fact_holder *facts_holder_add(struct facts_list *list, struct facts *facts);
/* Room for so many holders at once, for a source that knows how many will come. */
void facts_holders_reserve(struct facts_list *list, struct facts *facts, uint32_t cnt);
/* Forget the holders of one record, for a source that knows better (the supervisor: /proc). */
void facts_holders_clear(struct facts *facts);
/* One more watcher, all unknown; valid until the next one. NULL: out of memory. */
struct fact_watch *facts_watch_add(struct facts_list *list, struct facts *facts);
/* The id of a site equal to `site` (function, file, module, line), added if it is new; takes over
 * `site->stack` in either case. 0: out of memory. */
fact_site_id facts_site_add(struct facts_list *list, struct fact_site *site);
/* NULL for 0 and for an id of another list. */
const struct fact_site *facts_site(const struct facts_list *list, fact_site_id id);
/* Append to `closes`, dropping the oldest when full. */
void facts_close_add(struct facts *facts, const struct fact_call *call);
/* The record with this id (not 0), or NULL; _find_in: of this stack, where there are several. */
struct facts *facts_list_find(const struct facts_list *list, uint64_t id);
struct facts *facts_list_find_in(const struct facts_list *list, const char *stack, uint64_t id);
/* The other end (peer_id), or NULL. */
struct facts *facts_list_peer(const struct facts_list *list, const struct facts *facts);
/* For how long it is in its state; 0 if that is not known. */
uint64_t facts_age(const struct facts *facts);
/* For how long it is in its state with nothing new either way; FACT_UNKNOWN if the first is not known.
 * What is repeated because it is not acknowledged is nothing new. */
uint64_t facts_rest_us(const struct facts *facts);
/* Put a program's name wherever this pid stands without one. */
void facts_list_name(struct facts_list *list, uint32_t pid, const char *program);
/* Mark where the other end is gone: for a source whose records from `first` on are all connections of
 * one stack (names, addresses and states are filled in). */
void facts_list_mark_gone(struct facts_list *list, uint32_t first);
/* Fill what follows from the list as a whole: peer_id, peer_end (mirrored tuples), listener_id, relay_id,
 * alike_cnt, programs of callers that are holders elsewhere. From then on, until the next add,
 * facts_list_find is quick. */
void facts_list_relate(struct facts_list *list);

/* Where the search for an id in `by_id` begins. */
static inline uint32_t facts_id_hash(uint64_t id)
{
    return (uint32_t)((id * 0x9e3779b97f4a7c15u) >> 32);
}

/* Words of the enums, as JSON has them ("descriptor", "fork", "accept", "close", ...). */
const char *fact_holder_kind_name(enum fact_holder_kind kind);
const char *fact_origin_name(enum fact_origin origin);
const char *fact_doing_name(enum fact_doing doing);
const char *fact_call_name(enum fact_call_kind kind);
const char *fact_watch_kind_name(enum fact_watch_kind kind);
const char *fact_state_name(enum lastack_state state); /* as ss prints it; CLOSED: "UNCONN" */
const char *fact_timer_name(enum lastack_timer timer);

/*
 * JSON: an array of objects whose keys are the fields above. The string "unknown" stands for an
 * unknown value, null for "never"; a missing key is unknown. Ids are numbers, addresses strings; a
 * place stands as an object where its id stands. Keys with more than one line to a record:
 * "closes", "holders", "watches".
 */
struct text; /* text.h */
void facts_encode(struct text *out, const struct facts_list *list);
/* One record; `list` knows its places, which stay out without it. */
void facts_encode_in(struct text *out, const struct facts_list *list, const struct facts *facts);
void facts_encode_one(struct text *out, const struct facts *facts);
/* Parses `json` (NUL-terminated). 0, -EINVAL (`why` gets a sentence), -ENOMEM. `list` must be
 * initialised; on an error it holds what was read so far. */
int facts_decode(struct facts_list *list, const char *json, char *why, size_t why_len);
struct json; /* json.h */
/* The same, from an array (or an object with an array "facts") that is parsed already. */
int facts_decode_json(struct facts_list *list, const struct json *array, char *why, size_t why_len);

#endif
