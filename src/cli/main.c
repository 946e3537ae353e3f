/* SPDX-License-Identifier: BSD-2-Clause */
/* The program: finds the command and hands over. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/explain.h"
#include "run/run.h"

static const struct command {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"why", why_main, "say why connections do not end, and what to change"},
    {"ss", ss_main, "list connections: state, queues, age, who holds them"},
    {"end", end_main, "say what would end a connection, and end it, in the politest way"},
    {"explain", explain_main, "explain a code of a finding: cause, example, repair"},
    {"watch", watch_main, "record what no later look can see: births, ends read, closes"},
    {"check", check_main, "run a program, report the connections that it failed to end"},
    {"export", export_main, "connections and findings as metrics, for Prometheus"},
    {"run", run_main, "run a program on a TCP/IP stack of its own"},
};

#define COMMAND_CNT (sizeof commands / sizeof commands[0])

static void print_help(FILE *out)
{
    fputs("Usage: lastack COMMAND [OPTION...]\n"
          "A TCP/IP stack in user space in which every connection's end is accounted for, and a\n"
          "doctor for connections that will not end, the kernel's as well.\n\n",
          out);
    for (size_t i = 0; i < COMMAND_CNT; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
    fputs("\n"
          "Examples:\n"
          "  lastack why                     which connections will not end, and why\n"
          "  lastack why 4097                the story of one\n"
          "  lastack ss -p                   all connections, and who holds them\n"
          "  lastack end 4097                what would end it, and what each side would see\n"
          "  lastack run -- ./server         a server on lastack's TCP\n"
          "\n"
          "lastack COMMAND --help says more; so do the manual pages lastack(1), lastack-why(1), ...\n"
          "\n"
          "Exit status: 0 done, 1 not done (why: something needs attention), 2 wrong usage;\n"
          "lastack run ends with the status of its program.\n",
          out);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_CNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown(const char *word)
{
    struct text shown;
    text_init(&shown);
    text_add_shown(&shown, word);
    complain("lastack", "there is no %s \"%s\". Try: lastack --help",
             word[0] == '-' ? "option" : "command", text_string(&shown));
    text_free(&shown);
    return EXIT_USAGE;
}

/* What could not be written was not said: a full disk is no "nothing is wrong". */
static int check_output(const char *name, int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    if (errno != EPIPE) /* who reads no more needs no complaint */
        fprintf(stderr, "%s: the output could not be written: %s\n", name, strerror(errno));
    return EXIT_USAGE;
}

/* Whatever is opened first must not become the standard output of somebody who closed his own. To write
 * there stays an error. */
static void keep_standard_numbers(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    char name[32];
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts(cli_version);
        return EXIT_DONE;
    }
    bool help = strcmp(argv[1], "help") == 0;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || (help && argc == 2)) {
        print_help(stdout);
        return EXIT_DONE;
    }
    const struct command *command = find_command(argv[help ? 2 : 1]);
    if (!command)
        return unknown(argv[help ? 2 : 1]);
    snprintf(name, sizeof name, "lastack %s", command->name);
    if (help) {
        char option[] = "--help", *args[] = {name, option, NULL};
        return command->main(2, args);
    }
    argv[1] = name;
    if (command->main != run_main) /* it hands them on as they are */
        keep_standard_numbers();
    return check_output(name, command->main(argc - 1, argv + 1));
}
