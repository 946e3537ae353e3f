/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/bpf_object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef LASTACK_WITH_BPF
#include <bpf/libbpf.h>

static bool environment_says(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] && strcmp(value, "0") != 0;
}
#endif

bool kernel_bpf_allowed(char *why, size_t why_len)
{
#ifdef LASTACK_WITH_BPF
    if (!environment_says("LASTACK_NO_BPF"))
        return true;
    snprintf(why, why_len, "BPF is not used: the environment has LASTACK_NO_BPF");
#else
    snprintf(why, why_len, "this lastack was built without BPF (it needs clang and libbpf)");
#endif
    return false;
}

#ifdef LASTACK_WITH_BPF

static int print_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
    return level == LIBBPF_DEBUG || !environment_says("LASTACK_BPF_LOG")
               ? 0
               : vfprintf(stderr, format, args);
}

/* The lockdown modes are one line: none [integrity] confidentiality. */
static bool locked_down(void)
{
    char line[128] = "";
    int fd = open("/sys/kernel/security/lockdown", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, line, sizeof line - 1);
    close(fd);
    return len > 0 && strstr(line, "[confidentiality]");
}

void kernel_bpf_refused(const char *what, int error, char *why, size_t why_len)
{
    if (access("/sys/kernel/btf/vmlinux", F_OK) != 0)
        snprintf(why, why_len, "%s cannot be used: the kernel has no type information "
                               "(/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF)", what);
    else if (error == EMFILE || error == ENFILE)
        snprintf(why, why_len, "%s cannot be used: too few open files are allowed (ulimit -n 1024)", what);
    else if (error == EPERM && locked_down())
        snprintf(why, why_len, "%s cannot be used: the kernel is locked down (confidentiality) "
                               "and lets no program look inside", what);
    else if ((error == EPERM || error == EACCES) && geteuid() != 0)
        snprintf(why, why_len, "%s cannot be used without privilege: run lastack as root, or "
                               "with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN", what);
    else if (error == EPERM)
        snprintf(why, why_len, "%s cannot be used: the kernel refuses BPF even to root "
                               "(a container or a policy?); run it on the host", what);
    else if (error == EINVAL || error == EACCES || error == ESRCH || error == ENOENT || error == EOPNOTSUPP)
        snprintf(why, why_len, "%s cannot be used: this kernel is too old or too different "
                               "for it (%s; LASTACK_BPF_LOG=1 says more)", what, strerror(error));
    else
        snprintf(why, why_len, "%s cannot be used: %s (LASTACK_BPF_LOG=1 says more)", what,
                 strerror(error));
}

struct bpf_object *kernel_bpf_open(const char *name, const char *start, const char *end, char *why,
                                   size_t why_len)
{
    if (!kernel_bpf_allowed(why, why_len))
        return NULL;
    LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name);
    libbpf_set_print(print_nothing);
    struct bpf_object *object = bpf_object__open_mem(start, (size_t)(end - start), &options);
    if (!object)
        snprintf(why, why_len, "the BPF object \"%s\" within this lastack cannot be opened: %s", name,
                 strerror(errno));
    return object;
}

int kernel_bpf_load(struct bpf_object *object, char *why, size_t why_len)
{
    int error = bpf_object__load(object);
    char what[80];
    if (!error)
        return 0;
    snprintf(what, sizeof what, "BPF (%s)", bpf_object__name(object));
    kernel_bpf_refused(what, -error, why, why_len);
    return error;
}

#endif
