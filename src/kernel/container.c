/* SPDX-License-Identifier: BSD-2-Clause */
/* Paths of control groups are made by convention; these are the conventions. */
#include "kernel/container.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define ID_LEN   64 /* hexadecimal digits of a container */
#define ID_SHOWN 12

static size_t hex_len(const char *s)
{
    size_t len = 0;
    while (isxdigit((unsigned char)s[len]))
        len++;
    return len;
}

/* The last run of 64 hexadecimal digits; NULL. */
static const char *find_id(const char *path)
{
    const char *found = NULL;
    for (const char *at = path; *at;) {
        size_t len = hex_len(at);
        if (len == ID_LEN)
            found = at;
        at += len ? len : 1;
    }
    return found;
}

/* "kubepods-besteffort-pod1234_5678.slice" (systemd) or "/pod1234-5678/": its UID, with dashes. */
static bool find_pod(const char *path, char *out, size_t out_len)
{
    const char *pods = strstr(path, "kubepods"), *at = pods;
    size_t len = 0;
    if (!pods)
        return false;
    while ((at = strstr(at, "pod")) && (strncmp(at, "pods", 4) == 0 || hex_len(at + 3) < 8))
        at += 3;
    if (!at)
        return false;
    for (at += 3; (isxdigit((unsigned char)*at) || *at == '-' || *at == '_') && len + 1 < out_len;
         at++)
        out[len++] = *at == '_' ? '-' : *at;
    out[len] = '\0';
    return len > 0;
}

static const char *runtime_of(const char *path)
{
    static const char *const names[][2] = {
        {"libpod", "podman"}, {"cri-containerd", "containerd"}, {"crio", "crio"},
        {"docker", "docker"}, {"containerd", "containerd"},     {"nerdctl", "containerd"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strstr(path, names[i][0]))
            return names[i][1];
    return "container";
}

static bool name_lxc(const char *path, char *out, size_t out_len)
{
    static const char *const marks[] = {"/lxc.payload.", "/lxc/"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *at = strstr(path, marks[i]);
        if (!at)
            continue;
        at += strlen(marks[i]);
        snprintf(out, out_len, "lxc:%.*s", (int)strcspn(at, "/"), at);
        return true;
    }
    return false;
}

/* The innermost part that is a service; those of a person's session are programs of theirs. */
static bool name_unit(const char *path, char *out, size_t out_len)
{
    const char *unit = NULL;
    size_t unit_len = 0;
    for (const char *at = path; *at;) {
        at += *at == '/';
        size_t len = strcspn(at, "/");
        if (len > 8 && strncmp(at + len - 8, ".service", 8) == 0 && strncmp(at, "user@", 5) != 0) {
            unit = at;
            unit_len = len;
        }
        at += len;
    }
    if (unit)
        snprintf(out, out_len, "systemd:%.*s", (int)unit_len, unit);
    return unit != NULL;
}

static bool name_path(const char *path, char *out, size_t out_len)
{
    char pod[48];
    const char *id = find_id(path);
    if (find_pod(path, pod, sizeof pod)) {
        snprintf(out, out_len, id ? "pod:%s/%.*s" : "pod:%s", pod, ID_SHOWN, id ? id : "");
        return true;
    }
    if (id) {
        snprintf(out, out_len, "%s:%.*s", runtime_of(path), ID_SHOWN, id);
        return true;
    }
    return name_lxc(path, out, out_len) || name_unit(path, out, out_len);
}

bool container_name(const char *cgroup, char *out, size_t out_len)
{
    out[0] = '\0';
    while (*cgroup) { /* "0::/system.slice/...": one line, or one for each controller */
        char path[512];
        size_t len = strcspn(cgroup, "\n");
        snprintf(path, sizeof path, "%.*s", (int)len, cgroup);
        const char *colon = strchr(path, ':'), *start = colon ? strchr(colon + 1, ':') : NULL;
        if (start && name_path(start + 1, out, out_len))
            return true;
        cgroup += len + (cgroup[len] == '\n');
    }
    return false;
}
