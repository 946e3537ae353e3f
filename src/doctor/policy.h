/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy of the unattended guard (`lastack end --policy FILE --watch`): rules as text, and which
 * connections they would end now. Pure: text and facts and time in, decisions out.
 *
 *   # a comment
 *   keep port=22                                     never, whatever a later rule says
 *   end  finding=end-seen older=10m program=myserver max=rdwr limit=20/min
 *   total limit=100/min                              all rules together
 *
 * The first rule that fits decides. Whatever the rules say, a connection that is healthy, half-closed
 * and may still be worked on, a listener, or held by the guard itself is never chosen, and none is
 * chosen before two looks have seen the same finding on it.
 */
#ifndef LASTACK_DOCTOR_POLICY_H
#define LASTACK_DOCTOR_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doctor/facts.h"
#include "doctor/rules.h"

#define POLICY_LINE_MAX   1024
#define POLICY_RULE_MAX   256
#define POLICY_RETRY_US   600000000ull /* one that was acted on is left alone so long */
#define POLICY_MEMORY_MAX 65536        /* connections that are remembered between looks */

/* At most `cnt` in `period_us`. Zero-initialised: none are allowed. */
struct policy_limit {
    uint32_t cnt;
    uint64_t period_us;
};

struct policy_rule {
    bool keep;
    unsigned line;    /* of the file */
    unsigned states;  /* bits (1 << enum lastack_state); 0: any */
    uint16_t port;    /* of either end; 0: any */
    char program[32]; /* of a holder, a pattern of fnmatch(3); "": any */
    char stack[32];   /* a pattern; "": any */
    char finding[160]; /* codes and classes with commas; "": any (keep only) */
    uint64_t older_us; /* end: time in its state without anything new, at least (facts_rest_us) */
    int max;           /* end: the rudest step, as in lastack_end */
    struct policy_limit limit;
};

struct policy {
    struct policy_rule *rules;
    unsigned rule_cnt;
    struct policy_limit total;
};

/* Parse a whole file. 0, -EINVAL (`why`: "NAME:3: a sentence"), -ENOMEM. Bytes may be anything. */
int policy_parse(struct policy *policy, const char *name, const char *text, size_t len, char *why,
                 size_t why_len);
void policy_free(struct policy *policy);
/* "10s", "5m", "2h", "1d" to microseconds; false: it is none. */
bool policy_duration_parse(uint64_t *us, const char *word);
/* The rule that decides about a record with these findings; NULL: none fits, or it is not to be
 * touched (healthy, half-closed on purpose, no connection). `*code`: the finding that fitted. */
const struct policy_rule *policy_rule_for(const struct policy *policy, const struct facts *facts,
                                          const struct finding *findings, uint32_t finding_cnt,
                                          const struct rules_options *options, const char **code);

/* ---- from look to look ---- */

struct policy_choice {
    const struct facts *facts; /* of the list that was looked at */
    const struct policy_rule *rule;
    const char *code;
};

struct policy_guard; /* what is remembered: the last look, and what was spent */
struct policy_guard *policy_guard_open(uint32_t own_pid);
void policy_guard_close(struct policy_guard *guard);
/* Rules were read anew: what was spent of their limits is forgotten, the total's is not. */
void policy_guard_reload(struct policy_guard *guard);

/* What a look came to. */
struct policy_look {
    struct policy_choice *choices; /* to be ended now; freed by policy_look_free */
    uint32_t choice_cnt;
    uint32_t first_cnt;   /* fit for the first time: the next look decides */
    uint32_t held_cnt;    /* fit, but a limit is reached */
    uint32_t kept_cnt;    /* would have fitted a later rule, but a keep rule came first */
    uint32_t waiting_cnt; /* acted on already, and left alone for POLICY_RETRY_US */
    bool failed;          /* out of memory, or too many to remember: some were left out */
};
/* `findings` as diagnose leaves them; `now_us` on a clock that never goes backwards. */
void policy_look(struct policy_look *look, struct policy_guard *guard, const struct policy *policy,
                 const struct findings *findings, const struct rules_options *options,
                 uint64_t now_us);
void policy_look_free(struct policy_look *look);

#endif
