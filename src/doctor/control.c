/* SPDX-License-Identifier: BSD-2-Clause */
/* Names, places and the text of requests and replies. */
#include "doctor/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "doctor/control_text.h"
#include "doctor/json.h"

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool control_name_valid(const char *name)
{
    size_t len = strlen(name), digit_cnt = 0;
    if (len == 0 || len >= CONTROL_NAME_LEN || !is_alphanumeric(name[0]))
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        if (!is_alphanumeric(c) && c != '.' && c != '_' && c != '-')
            return false;
        digit_cnt += c >= '0' && c <= '9';
    }
    return digit_cnt < len;
}

/* Who we are outside of a user namespace, where everybody may be root: the names in /tmp must not
 * meet. */
static unsigned outer_uid(void)
{
    unsigned inside, outside, cnt, uid = (unsigned)geteuid(), found = uid;
    FILE *map = fopen("/proc/self/uid_map", "re");
    while (map && fscanf(map, "%u %u %u", &inside, &outside, &cnt) == 3)
        if (uid >= inside && uid - inside < cnt)
            found = outside + (uid - inside);
    if (map)
        fclose(map);
    return found;
}

int control_dirs(char dirs[CONTROL_DIR_MAX][CONTROL_PATH_LEN])
{
    const char *own = getenv("LASTACK_DIR"), *runtime = getenv("XDG_RUNTIME_DIR");
    int cnt = 0;
    if (own && strlen(own) + CONTROL_NAME_LEN + sizeof "/.sock" > CONTROL_PATH_LEN)
        return 0; /* no socket fits into it */
    if (own && *own) {
        snprintf(dirs[0], CONTROL_PATH_LEN, "%s", own);
        return 1;
    }
    if (geteuid() == 0)
        snprintf(dirs[cnt++], CONTROL_PATH_LEN, "/run/lastack");
    if (runtime && runtime[0] == '/')
        snprintf(dirs[cnt++], CONTROL_PATH_LEN, "%s/lastack", runtime);
    snprintf(dirs[cnt++], CONTROL_PATH_LEN, "/tmp/lastack-%u", outer_uid());
    return cnt;
}

/* ---- requests ---- */

static const struct {
    const char *word;
    int how;
} hows[] = {{"wr", SHUT_WR}, {"rdwr", SHUT_RDWR}, {"rst", LASTACK_END_RST}};

static const char *const kinds[] = {
    [CONTROL_INFO] = "info",
    [CONTROL_FACTS] = "facts",
    [CONTROL_END] = "end",
};

const char *control_how_name(int how)
{
    for (size_t i = 0; i < sizeof hows / sizeof hows[0]; i++)
        if (hows[i].how == how)
            return hows[i].word;
    return "?";
}

int control_how_parse(const char *word)
{
    for (size_t i = 0; word && i < sizeof hows / sizeof hows[0]; i++)
        if (strcmp(hows[i].word, word) == 0)
            return hows[i].how;
    return -1;
}

void control_request_format(struct text *out, const struct control_request *request)
{
    text_printf(out, "{\"do\":\"%s\"", kinds[request->kind]);
    if (request->kind == CONTROL_END)
        text_printf(out, ",\"id\":%llu,\"how\":\"%s\"", (unsigned long long)request->id,
                    control_how_name(request->how));
    text_add(out, "}\n");
}

static int request_read(struct control_request *request, const struct json *root, char *why,
                        size_t why_len)
{
    const char *what = json_get_string(root, "do", "");
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i], what) != 0)
            continue;
        request->kind = (enum control_kind)i;
        if (request->kind != CONTROL_END)
            return 0;
        request->how = control_how_parse(json_get_string(root, "how", ""));
        if (!json_get_u64(root, "id", &request->id) || request->how < 0)
            break;
        return 0;
    }
    snprintf(why, why_len, "%s",
             strcmp(what, "end") == 0
                 ? "\"end\" needs \"id\" (a number) and \"how\" (wr, rdwr or rst)"
                 : "\"do\" must be info, facts or end");
    return -EINVAL;
}

int control_request_parse(struct control_request *request, const char *line, char *why,
                          size_t why_len)
{
    memset(request, 0, sizeof *request);
    struct json_document *document = json_parse(line, strlen(line), why, why_len);
    if (!document)
        return -EINVAL;
    int result = request_read(request, json_root(document), why, why_len);
    json_free(document);
    return result;
}

/* ---- replies ---- */

static const struct {
    const char *key;
    size_t offset;
    bool wide; /* uint64_t, else uint32_t */
} usage_members[] = {
#define USAGE(name, wide)                                                                          \
    {                                                                                              \
#name, offsetof(struct lastack_usage, name), wide                                          \
    }
    USAGE(connections, false),    USAGE(half_open, false),
    USAGE(time_wait, false),      USAGE(listeners, false),
    USAGE(orphans, false),        USAGE(sockets, false),
    USAGE(processes, false),      USAGE(unaccepted, false),
    USAGE(buffer_bytes, true),    USAGE(memory_bytes, true),
    USAGE(packets_in, true),      USAGE(packets_out, true),
    USAGE(packets_dropped, true), USAGE(segments_retransmitted, true),
#undef USAGE
};

static uint64_t usage_get(const struct lastack_usage *usage, size_t i)
{
    const char *at = (const char *)usage + usage_members[i].offset;
    return usage_members[i].wide ? *(const uint64_t *)(const void *)at
                                 : *(const uint32_t *)(const void *)at;
}

void control_reply_info(struct text *out, const struct control_info *info)
{
    text_add(out, "{\"ok\":true,\"info\":{\"name\":");
    text_add_json(out, info->name);
    text_printf(out, ",\"pid\":%u,\"program\":", info->pid);
    text_add_json(out, info->program);
    text_add(out, ",\"version\":");
    text_add_json(out, info->version);
    text_printf(out, ",\"uptime_us\":%llu,\"address\":", (unsigned long long)info->uptime_us);
    text_add_json(out, info->address);
    text_add(out, ",\"usage\":{");
    for (size_t i = 0; i < sizeof usage_members / sizeof usage_members[0]; i++)
        text_printf(out, "%s\"%s\":%llu", i ? "," : "", usage_members[i].key,
                    (unsigned long long)usage_get(&info->usage, i));
    text_add(out, "}}}\n");
}

void control_reply_facts(struct text *out, const struct facts_list *list)
{
    if (list->failed) {
        control_reply_error(out, ENOMEM, "no memory for all facts");
        return;
    }
    text_add(out, "{\"ok\":true,\"facts\":");
    facts_encode(out, list);
    text_add(out, "}\n");
}

void control_reply_done(struct text *out)
{
    text_add(out, "{\"ok\":true}\n");
}

void control_reply_error(struct text *out, int error, const char *sentence)
{
    text_printf(out, "{\"ok\":false,\"errno\":%d,\"error\":", error);
    text_add_json(out, sentence);
    text_add(out, "}\n");
}

void control_reply_end(struct text *out, uint64_t id, int result)
{
    unsigned long long n = id;
    char sentence[128];
    if (result == 0) {
        control_reply_done(out);
        return;
    }
    if (result == -ENOENT)
        snprintf(sentence, sizeof sentence, "there is no connection %llu (any more)", n);
    else if (result == -ENOTCONN)
        snprintf(sentence, sizeof sentence, "%llu has no half that this could end", n);
    else
        snprintf(sentence, sizeof sentence, "%llu could not be ended: %s", n, strerror(-result));
    control_reply_error(out, -result, sentence);
}

/* ---- reading replies ---- */

static void take_string(char *to, size_t size, const struct json *object, const char *key)
{
    snprintf(to, size, "%s", json_get_string(object, key, ""));
}

void control_info_read(struct control_info *info, const struct json *object)
{
    uint64_t v;
    memset(info, 0, sizeof *info);
    take_string(info->name, sizeof info->name, object, "name");
    take_string(info->program, sizeof info->program, object, "program");
    take_string(info->version, sizeof info->version, object, "version");
    take_string(info->address, sizeof info->address, object, "address");
    info->pid = json_get_u64(object, "pid", &v) ? (uint32_t)v : 0;
    info->uptime_us = json_get_u64(object, "uptime_us", &v) ? v : 0;
    const struct json *usage = json_get(object, "usage");
    for (size_t i = 0; i < sizeof usage_members / sizeof usage_members[0]; i++) {
        char *at = (char *)&info->usage + usage_members[i].offset;
        if (!json_get_u64(usage, usage_members[i].key, &v))
            continue;
        if (usage_members[i].wide)
            *(uint64_t *)(void *)at = v;
        else
            *(uint32_t *)(void *)at = (uint32_t)v;
    }
}
