/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of connections: "7", "web/7", "kernel/4097", "10.0.0.2:80", ":80". */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "doctor/words.h"

#define CANDIDATE_MAX 12

/* ---- ids ---- */

/* "kernel@blue" is "kernel" where only the kind of stack counts: cookies are one count. */
static size_t kind_len(const char *stack)
{
    size_t len = strlen(KERNEL_STACK);
    return strncmp(stack, KERNEL_STACK "@", len + 1) == 0 ? len : strlen(stack);
}

void catch_add_id(const struct catch *catch, struct text *out, const struct facts *facts)
{
    char name[sizeof facts->stack + 1];
    if (facts->id == 0) {
        text_add(out, "-");
        return;
    }
    if (catch->stack_cnt > 1) {
        memcpy(name, facts->stack, sizeof facts->stack);
        name[kind_len(facts->stack)] = 0;
        text_add_shown(out, name);
        text_add(out, "/");
    }
    text_printf(out, "%llu", (unsigned long long)facts->id);
}

bool target_parse(const char *target, char name[CONTROL_NAME_LEN], uint64_t *id)
{
    const char *slash = strchr(target, '/'), *digits = slash ? slash + 1 : target;
    size_t name_len = slash ? (size_t)(slash - target) : 0;
    if (*digits < '0' || *digits > '9' || name_len >= CONTROL_NAME_LEN || (slash && !name_len))
        return false;
    char *end;
    errno = 0;
    *id = strtoull(digits, &end, 10);
    memcpy(name, target, name_len);
    name[name_len] = 0;
    return *end == 0 && errno == 0 && *id != 0;
}

/* ---- addresses ---- */

struct wanted {
    char name[CONTROL_NAME_LEN];
    uint64_t id;      /* 0: by address */
    const char *text; /* as it was given */
    const char *port; /* ":80" within it */
    bool dead;        /* by address, what has no connection any more counts, too */
};

static bool wanted_parse(struct wanted *w, const char *target)
{
    *w = (struct wanted){.text = target};
    if (target_parse(target, w->name, &w->id))
        return true;
    w->id = 0;
    w->name[0] = 0;
    w->port = strrchr(target, ':');
    if (!w->port)
        return false;
    char *end;
    unsigned long port = strtoul(w->port + 1, &end, 10);
    return w->port[1] >= '0' && w->port[1] <= '9' && *end == 0 && port > 0 && port < 65536;
}

static bool is_end(const struct wanted *w, const struct lastack_address *address, uint16_t port)
{
    struct text end;
    if (port != strtoul(w->port + 1, NULL, 10))
        return false;
    if (w->port == w->text)
        return true;
    text_init(&end);
    words_end(&end, address, port);
    bool same = strcmp(text_string(&end), w->text) == 0;
    text_free(&end);
    return same;
}

static bool is_wanted(const struct wanted *w, const struct facts *f)
{
    size_t len = strlen(w->name);
    if (w->id)
        return f->id == w->id && (!len || strcmp(f->stack, w->name) == 0 ||
                                  (kind_len(f->stack) == len && strlen(f->stack) != len &&
                                   memcmp(f->stack, w->name, len) == 0));
    return f->state != LASTACK_LISTEN && f->id != 0 && (w->dead || f->state != LASTACK_CLOSED) &&
           (is_end(w, &f->tuple.local, f->tuple.local_port) ||
            is_end(w, &f->tuple.remote, f->tuple.remote_port));
}

/* Both ends of a connection on this machine answer to one address: the end that has it as its own
 * is meant. */
static bool is_own(const struct wanted *w, const struct facts *f)
{
    return !w->id && is_end(w, &f->tuple.local, f->tuple.local_port);
}

/* ---- finding it ---- */

static void add_candidate(struct text *out, const struct catch *catch, const struct facts *f)
{
    if (catch->stack_cnt > 1 && strcmp(f->stack, KERNEL_STACK) != 0) {
        text_add_shown(out, f->stack);
        text_printf(out, "/%llu", (unsigned long long)f->id);
    } else {
        catch_add_id(catch, out, f);
    }
    text_add(out, "  ");
    words_end(out, &f->tuple.local, f->tuple.local_port);
    text_add(out, " <-> ");
    words_end(out, &f->tuple.remote, f->tuple.remote_port);
    text_printf(out, "  %s", fact_state_name(f->state));
}

static void complain_ambiguous(const struct catch *catch, const char *command,
                               const struct wanted *w, bool own, unsigned cnt)
{
    struct text which;
    unsigned shown = 0;
    text_init(&which);
    text_add_shown(&which, w->text);
    text_printf(&which, " may be any of %u; say which:", cnt);
    for (uint32_t i = 0; i < catch->list.cnt && shown < CANDIDATE_MAX; i++) {
        const struct facts *f = &catch->list.all[i];
        if (!is_wanted(w, f) || (own && !is_own(w, f)))
            continue;
        shown++;
        text_add(&which, "\n  ");
        add_candidate(&which, catch, f);
    }
    if (cnt > shown)
        text_printf(&which, "\n  and %u more: lastack ss --all --port %s", cnt - shown,
                    w->port ? w->port + 1 : "PORT");
    complain(command, "%s", text_string(&which));
    text_free(&which);
}

const struct facts *catch_find(const struct catch *catch, const char *command, const char *target)
{
    const struct facts *found = NULL, *found_own = NULL;
    unsigned cnt = 0, own_cnt = 0;
    struct wanted w;
    if (!wanted_parse(&w, target)) {
        complain_shown(command, "\"", target,
                       "\" is no id of a connection (7, or web/7) and no end of one "
                       "(10.0.0.2:80, or :80); lastack ss --all shows them");
        return NULL;
    }
    /* A number may have been used again: the dead are meant only where there is no other. */
    for (int round = 0; round < 2 && !found; round++) {
        w.dead = round == 1;
        for (uint32_t i = 0; i < catch->list.cnt; i++) {
            const struct facts *f = &catch->list.all[i];
            if (!is_wanted(&w, f))
                continue;
            found = f;
            cnt++;
            if (!is_own(&w, f))
                continue;
            found_own = f;
            own_cnt++;
        }
    }
    if (own_cnt)
        found = found_own, cnt = own_cnt;
    if (cnt > 1) {
        complain_ambiguous(catch, command, &w, own_cnt > 0, cnt);
        return NULL;
    }
    if (!found)
        complain_shown(command, "there is no connection ", target,
                       " (any more); lastack ss --all shows those that are there");
    return found;
}

void target_narrow(const char *target, struct look *look)
{
    struct wanted w;
    if (!wanted_parse(&w, target))
        return;
    if (w.id)
        look->kernel.id = w.id;
    else
        look->kernel.port = (uint16_t)strtoul(w.port + 1, NULL, 10);
}
