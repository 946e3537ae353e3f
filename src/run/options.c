/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of `lastack run`, as a value. */
#include "run/options.h"

#include <argp.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "run/launch.h"

#define GRACE_MS 10000
#define KEY_NO_CLOSE_TRACE 256
#define KEY_CLOSE_TRACE 260
#define KEY_GRACE 257
#define KEY_MSL 258
#define KEY_HOST_ADDRESS 259

static const char *doc =
    "Run PROGRAM on a TCP stack of its own.\v"
    "The program is not changed: its socket calls are intercepted, those of its children, too. "
    "Without --tun no privilege is needed, and programs talk over the stack's own loopback, "
    "127.0.0.0/8. IPv4 only: a program that asks for an IPv6 stream is told EAFNOSUPPORT.\n\n"
    "Examples:\n"
    "  lastack run -- python3 -m http.server 8000\n"
    "  lastack run -- sh -c 'python3 -m http.server 8000 & sleep 1;\n"
    "                        curl -s 127.0.0.1:8000; kill $!'\n"
    "  lastack run --tun lastack0 --address 10.9.0.2/24 --capture web.pcapng \\\n"
    "      -- python3 -m http.server 8000\n"
    "  lastack ss -p; lastack why        what is there, and why it does not end\n\n"
    "Exit status: that of PROGRAM (128+N: killed by signal N); 125: lastack could not go on; "
    "126: PROGRAM could not be run; 127: there is no such PROGRAM.";

static const struct argp_option options_known[] = {
    {"name", 'n', "NAME", 0, "Name of the stack, for lastack ss, why and end (default: PROGRAM's)",
     0},
    {"tun", 't', "DEV", 0, "Attach to TUN device DEV, made if it is not there", 0},
    {"address", 'a', "A.B.C.D/PREFIX", 0, "The stack's address on DEV", 0},
    {"host-address", KEY_HOST_ADDRESS, "A.B.C.D", 0,
     "The kernel's address on DEV (default: as it is set up; a new device gets the first one of "
     "the network)", 0},
    {"capture", 'c', "FILE", 0, "Write the packets, with comments, to a pcapng FILE", 0},
    {"grace", KEY_GRACE, "SECONDS", 0,
     "How long connections may take to end when the programs are gone (default: 10)", 0},
    {"msl", KEY_MSL, "SECONDS", 0,
     "Maximum segment lifetime; TIME-WAIT lasts two of them (default: 30)", 0},
    {"close-trace", KEY_CLOSE_TRACE, NULL, 0,
     "Intercept close(2), so that each is known at its moment. Slower, and not safe for programs "
     "with signal handlers that lack SA_RESTART: their close may fail with EINTR and leak", 0},
    {"no-close-trace", KEY_NO_CLOSE_TRACE, NULL, 0,
     "The default: look from time to time who still holds a connection", 0},
    {"verbose", 'v', NULL, 0, "Say what happens", 0},
    {0},
};

/* A.B.C.D/PREFIX */
static bool parse_network(const char *text, struct lastack_address *address, uint8_t *prefix_len)
{
    char copy[64], *slash, *end;
    long prefix;

    if (strlen(text) >= sizeof copy)
        return false;
    strcpy(copy, text);
    slash = strchr(copy, '/');
    if (!slash)
        return false;
    *slash = '\0';
    prefix = strtol(slash + 1, &end, 10);
    if (end == slash + 1 || *end || prefix < 1 || prefix > 32)
        return false;
    *prefix_len = (uint8_t)prefix;
    return lastack_address_parse(address, copy) == 0;
}

static uint32_t parse_seconds(struct argp_state *state, const char *option, const char *text)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end || seconds < 0 || seconds > 3600)
        argp_error(state, "--%s wants seconds, 0 to 3600, not \"%s\"", option, text);
    return (uint32_t)(seconds * 1000);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct run_options *options = state->input;

    switch (key) {
    case 'n':
        if (!control_name_valid(text))
            argp_error(state, "\"%s\" cannot be the name of a stack: 1 to 31 letters, digits, "
                       "'.', '_' or '-', the first a letter or digit, not digits alone", text);
        snprintf(options->name, sizeof options->name, "%s", text);
        options->name_given = true;
        break;
    case 't':
        options->tun = text;
        break;
    case 'a':
        if (!parse_network(text, &options->address, &options->prefix_len))
            argp_error(state, "--address wants A.B.C.D/PREFIX, as 10.9.0.2/24, not \"%s\"", text);
        options->address_given = true;
        break;
    case KEY_HOST_ADDRESS:
        if (lastack_address_parse(&options->host_address, text) != 0)
            argp_error(state, "--host-address wants A.B.C.D, not \"%s\"", text);
        options->host_address_given = true;
        break;
    case 'c':
        options->capture = text;
        break;
    case KEY_GRACE:
        options->grace_ms = parse_seconds(state, "grace", text);
        break;
    case KEY_MSL:
        options->msl_ms = parse_seconds(state, "msl", text);
        break;
    case KEY_CLOSE_TRACE:
        options->close_trace = true;
        break;
    case KEY_NO_CLOSE_TRACE:
        options->close_trace = false;
        break;
    case 'v':
        options->verbose = true;
        break;
    case ARGP_KEY_ARG: /* the program; what follows is its own */
        options->program = &state->argv[state->next - 1];
        state->next = state->argc;
        break;
    case ARGP_KEY_END:
        if (!options->program)
            argp_error(state, "no program to run");
        if (options->tun && !options->address_given)
            argp_error(state, "--tun needs --address A.B.C.D/PREFIX: the stack's own address");
        if (!options->tun && (options->address_given || options->host_address_given))
            argp_error(state, "an address needs a device: add --tun DEV");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* The program's file name, made fit to be the name of a stack. */
static void name_derive(struct run_options *options)
{
    const char *slash = strrchr(options->program[0], '/');
    const char *from = slash ? slash + 1 : options->program[0];
    size_t len = 0;

    for (; *from && len < CONTROL_NAME_LEN - 4; from++) /* room for "-99" */
        if (isalnum((unsigned char)*from) || (len > 0 && strchr("._-", *from)))
            options->name[len++] = *from;
    options->name[len] = '\0';
    if (!control_name_valid(options->name))
        strcpy(options->name, "run");
}

void run_options_parse(struct run_options *options, int argc, char **argv)
{
    const struct argp parser = {options_known, parse_option, "[--] PROGRAM [ARGUMENT...]", doc,
                                NULL, NULL, NULL};

    *options = (struct run_options){.grace_ms = GRACE_MS};
    argp_err_exit_status = RUN_FAILED;
    argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, options);
    if (!options->name_given)
        name_derive(options);
}
