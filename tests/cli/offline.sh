#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# offline.sh LASTACK SOURCE: the program where no stack runs: help, usage, recorded facts, pages.
set -u
lastack=$(realpath "$1")
source=$2
here=$source/tests/cli
. "$here/tap.sh"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export LASTACK_DIR="$tmp/nowhere"
unset NO_COLOR
facts=$source/tests/doctor/facts

# ---- usage
check 'no command: help, status 2' says 'Usage: lastack COMMAND' gives 2 "$lastack"
check '--help' gives 0 "$lastack" --help
check '--version' says 'lastack 0' "$lastack" --version
check 'unknown command' says 'there is no command "fly". Try: lastack --help' gives 2 "$lastack" fly
check 'unknown option' says 'there is no option "--fly". Try: lastack --help' gives 2 "$lastack" --fly
check 'control characters are shown' says '\x1b[31m' "$lastack" "$(printf '\033[31m')"
for command in ss why end; do
    check "$command --help" says 'Examples:' gives 0 "$lastack" "$command" --help
    check "help $command" says 'Exit status:' gives 0 "$lastack" help "$command"
    check "$command: unknown option" says "Try \`lastack $command --help'" \
        gives 2 "$lastack" "$command" --fly
done
check 'ss: unknown state' says 'there is no state "asleep"' gives 2 "$lastack" ss --state asleep
check 'ss: bad port' says 'a number from 1 to 65535' gives 2 "$lastack" ss --port 65536
check 'end: no process is 0' says '--pid takes a number from 1' gives 2 "$lastack" end --pid 0 --force
check 'why: no port is 0' says '--port takes a number from 1' gives 2 "$lastack" why --port 0
check 'ss: filter words' says 'filters are --state, --port, --pid, --program and --finding' gives 2 "$lastack" ss sport = 80
check 'ss: bad pid' says '--pid takes a number' gives 2 "$lastack" ss --pid x1
check 'ss: no such finding' says 'there is no finding "nix"' gives 2 "$lastack" ss --finding nix
check 'why: two ids' says 'one connection at a time' gives 2 "$lastack" why 1 2
check 'end: no id' says 'which connection?' gives 2 "$lastack" end
check 'end: a half-close that may work is passed over, whatever the filter' says 'that work, or may' \
    "$lastack" end --state close-wait --facts "$facts/may-work-lower-bound.json"
check 'end: nothing speaks against it' says 'nothing speaks against it yet' \
    gives 1 "$lastack" end 7 --facts "$facts/may-work-lower-bound.json"
check 'end: an answer every ten seconds' says 'that work, or may' \
    "$lastack" end --finding end-consumed --facts "$facts/may-work-answers-seldom.json"
check 'end: the half that we closed' says 'may still be worked on' \
    gives 1 "$lastack" end 7 --facts "$facts/may-work-from-here.json"
check 'end: at work on an answer' says 'may still be worked on' \
    gives 1 "$lastack" end 7 --facts "$facts/end-seen-at-work.json"
check 'end: that no answer can take so long' says '1. wr' "$lastack" end 7 --facts "$facts/end-seen-at-work-long.json"
check 'end: forced' says '1. wr' "$lastack" end 7 --force --facts "$facts/may-work-lower-bound.json"
check 'why: what may work is not offered to be ended' not says 'lastack end 7' "$lastack" why --facts "$facts/end-seen-at-work.json"
check 'end: bad how' says '--how takes auto, wr, rdwr or rst' gives 2 "$lastack" end 1 --how soon

# ---- no stack
check 'why: no such stack' says 'there is no running stack named web' gives 2 "$lastack" why --stack web
check 'ss: no such stack' says 'there is no running stack named web' gives 2 "$lastack" ss --stack web
mkdir -m 777 "$tmp/open"
chmod 777 "$tmp/open"
check 'a directory that others can write to, named' says "$tmp/open" \
    env LASTACK_DIR="$tmp/open" "$lastack" ss

# ---- recorded facts
classic=$facts/shared-classic.json
check 'ss' says 'CLOSE-WAIT       0       0  10.9.0.2:8080  10.9.0.1:40007   7  12s' \
    "$lastack" ss --facts "$classic"
check 'ss hides listeners' not says 'LISTEN' "$lastack" ss --facts "$classic"
check 'ss -l' says 'LISTEN       0      16  10.9.0.2:8080  *:*    1  60s' "$lastack" ss -l --facts "$classic"
check 'ss -p' says 'forking-server pid=4710 fd=4' "$lastack" ss -tanp --facts "$classic"
check 'ss --state' says 'CLOSE-WAIT' "$lastack" ss --state close-wait,LISTEN --facts "$classic"
check 'ss --state leaves out' not says 'CLOSE-WAIT' "$lastack" ss --state estab --facts "$classic"
check 'ss --port' says '40007' "$lastack" ss --port 40007 --facts "$classic"
check 'ss --port leaves out' not says '40007' "$lastack" ss --port 81 --facts "$classic"
check 'ss -H' not says 'Recv-Q' "$lastack" ss -H --facts "$classic"
"$lastack" ss -a --json --facts "$classic" >"$tmp/facts"
check 'ss --json is JSON' python3 -m json.tool "$tmp/facts"
"$lastack" why --json --facts "$classic" >"$tmp/why"
check 'why --json is JSON' python3 -m json.tool "$tmp/why"
"$lastack" why 7 --json --facts "$classic" >"$tmp/why7"
check 'why ID --json is JSON' python3 -m json.tool "$tmp/why7"
check 'facts survive ss --json' says 'PROBLEM last-close-missing (shared, certain)' "$lastack" why --facts "$tmp/facts"
check 'facts from standard input' says 'PROBLEM last-close-missing' \
    sh -c '"$1" why --facts - <"$2"' sh "$lastack" "$tmp/facts"
story="The peer's FIN came 12 s ago; then process 4711 (forking-server) closed its descriptor 4, which \
dropped the count from 2 to 1, so no FIN left; process 4710 (forking-server) still holds descriptor 4 \
and is waiting in accept()."
check 'why tells the classic story' says "$story" "$lastack" why --facts "$classic"
check 'why says what to change' says 'close it in the parent after fork()' \
    "$lastack" why --facts "$classic"
check 'why says how to end it' says 'lastack end 7' "$lastack" why --facts "$classic"
check 'why ID tells the story' says 'What happened' "$lastack" why 7 --facts "$classic"
check 'why NAME/ID' says 'What happened' "$lastack" why web/7 --facts "$classic"
check 'why of a healthy one' says 'Nothing is wrong with it' "$lastack" why 1 --facts "$classic"
check 'why: no such connection' says 'there is no connection 8' \
    gives 2 "$lastack" why 8 --facts "$classic"
check 'why: no id at all' says 'is no id of a connection' gives 2 "$lastack" why seven --facts "$classic"
check 'why: other stack' gives 2 "$lastack" why db/7 --facts "$classic"
check 'why --check: a problem' gives 1 "$lastack" why --check --facts "$classic"
check 'why --check: healthy' gives 0 "$lastack" why --check --facts "$facts/working.json"
check 'why: nothing wrong' says 'Nothing is wrong' "$lastack" why --facts "$facts/working.json"
check 'why: the hidden are counted' says 'lastack why --all' "$lastack" why --facts "$facts/orphan.json"
check 'why --all' says 'NOTE fin-wait-orphan' "$lastack" why --all --facts "$facts/orphan.json"
check 'no facts in a file' says 'holds no facts' gives 2 "$lastack" why --facts "$source/meson.build"
check 'no such file' says 'No such file' gives 2 "$lastack" why --facts "$tmp/none"

# filters, and ends as names
seven_of() {
    "$lastack" ss -aH --facts "$tmp/seven" "$@" | wc -l | tr -d ' '
}
counts() {
    want=$1
    shift
    got=$(seven_of "$@")
    [ "$got" = "$want" ] || {
        echo "$got, not $want"
        return 1
    }
}
python3 - "$facts" "$tmp/seven" <<'END'
import json, sys
base = json.load(open(f'{sys.argv[1]}/shared-classic.json'))
base = base['facts'] if isinstance(base, dict) else base
leak = next(r for r in base if r['state'] == 'CLOSE-WAIT')
records = []
for at, program in enumerate(['nginx', 'python3', 'py']):
    records.append(dict(leak, id=at + 1, socket_id=at + 1, remote_port=5000 + at,
                        holders=[dict(leak['holders'][0], pid=100 + at, program=program)]))
json.dump(records, open(sys.argv[2], 'w'))
END
check 'ss --pid' counts 1 --pid 101
check 'ss --program' counts 1 --program nginx
check 'ss --program, a pattern' counts 2 --program 'py*'
check 'ss --port' counts 1 --port 5002
check 'ss --finding, a code' counts 3 --finding last-close-missing
check 'ss --finding, a class' counts 3 --finding shared
check 'ss --finding, another one' counts 0 --finding end-seen,unread
check 'ss --state and --pid' counts 0 --state estab --pid 101
check 'why --program' says '1 connection will not end' "$lastack" why --program nginx --facts "$tmp/seven"
check 'why --port' says ':5001' "$lastack" why --port 5001 --facts "$tmp/seven"
check 'why --pid of nobody' says 'Nothing is wrong' gives 0 "$lastack" why --pid 7 --facts "$tmp/seven"
check 'why --state' gives 0 "$lastack" why --state estab --facts "$tmp/seven"
check 'why --finding' gives 0 "$lastack" why --finding end-seen --facts "$tmp/seven"
check 'why of an end' says 'What happened' "$lastack" why 10.9.0.1:5001 --facts "$tmp/seven"
check 'why of a port' says 'What happened' "$lastack" why :5002 --facts "$tmp/seven"
check 'why of a port of three' says 'may be any of 3; say which:' \
    gives 2 "$lastack" why :8080 --facts "$tmp/seven"
check 'the candidates are shown' says '2  10.9.0.2:8080 <-> 10.9.0.1:5001  CLOSE-WAIT' \
    "$lastack" why 10.9.0.2:8080 --facts "$tmp/seven"
python3 - "$tmp/seven" "$tmp/dead" <<'END'
import json, sys
leak = json.load(open(sys.argv[1]))[0]
json.dump([leak, dict(leak, id=8, socket_id=8, state='UNCONN')], open(sys.argv[2], 'w'))
END
check 'a dead descriptor gives way to the living' says 'CLOSE-WAIT for' "$lastack" why :5000 --facts "$tmp/dead"
check 'why of a port of none' says 'there is no connection :99' gives 2 "$lastack" why :99 --facts "$tmp/seven"
check 'why of no port' says 'is no id of a connection' gives 2 "$lastack" why :http --facts "$tmp/seven"
check 'why --svg without ID' says 'give its ID' gives 2 "$lastack" why --svg - --facts "$tmp/seven"
check 'why --follow with ID' says 'it takes no ID' gives 2 "$lastack" why --follow 1 --facts "$tmp/seven"
check 'why --every' says '--every takes a time' gives 2 "$lastack" why --follow --every 1y

# several stacks in one file
python3 - "$tmp/facts" "$tmp/two" <<'END'
import json, sys
one = json.load(open(sys.argv[1]))
json.dump(one + [dict(r, stack='db') for r in one], open(sys.argv[2], 'w'))
END
check 'two stacks: ids have names' says 'db/7' "$lastack" ss --facts "$tmp/two"
check 'two stacks: an id is ambiguous' says 'may be any of 2; say which:' gives 2 "$lastack" why 7 --facts "$tmp/two"
check 'two stacks: a name decides' says 'What happened' "$lastack" why db/7 --facts "$tmp/two"
check 'two stacks: two groups' says '2 connections will not end' "$lastack" why --facts "$tmp/two"

# ---- terminals
pty() {
    TERM=xterm python3 "$here/terminal.py" "$@"
}
# Longest line in columns, without colour.
widest() {
    pty "$@" | python3 -c 'import re, sys
print(max(len(re.sub("\033\\[[0-9]*m", "", l.rstrip("\n")).rstrip()) for l in sys.stdin))'
}
fits() {
    width=$(widest "$@")
    [ "$width" -le "$1" ] || {
        echo "$width columns"
        return 1
    }
}
escape=$(printf '\033')
check 'colour on a terminal' says "$escape[" pty 80 "$lastack" ss --facts "$classic"
check 'no colour on a pipe' not says "$escape" "$lastack" why --facts "$classic"
check 'NO_COLOR' not says "$escape" env NO_COLOR=1 TERM=xterm python3 "$here/terminal.py" 80 "$lastack" why \
    --facts "$classic"
for width in 80 100; do
    check "ss -p in $width columns" fits "$width" "$lastack" ss -ap --facts "$classic"
    check "why in $width columns" fits "$width" "$lastack" why --facts "$classic"
done
# Seven findings of seven stacks: on a terminal of 24 rows each is told, one of them as a block.
python3 - "$facts" "$tmp/seven" <<'END'
import json, sys
records = []
for at, name in enumerate(['shared-classic', 'deaf-two', 'unread-data', 'unaccepted-full', 'waiting-peer',
                           'shared-exec', 'unread-eof']):
    found = json.load(open(f'{sys.argv[1]}/{name}.json'))
    records += [dict(r, stack=f's{at}') for r in (found['facts'] if isinstance(found, dict) else found)]
json.dump(records, open(sys.argv[2], 'w'))
END
one_screen() {
    rows=$(pty "$1" "$lastack" why --facts "$tmp/seven" | wc -l)
    [ "$rows" -lt 24 ] || {
        echo "$rows rows"
        return 1
    }
}
for width in 80 200; do
    check "why of seven fits a screen of $width columns" one_screen "$width"
    check "why of seven keeps within $width columns" fits "$width" "$lastack" why --facts "$tmp/seven"
done
for code in end-seen accept-queue-full unread-data last-close-missing heir-holds fin-wait-held unread-end; do
    check "one screen tells of $code" says "$code" pty 80 "$lastack" why --facts "$tmp/seven"
    check "a pipe tells all of $code" says "$code" "$lastack" why --facts "$tmp/seven"
done
check 'why of seven keeps within 40 columns' fits 40 "$lastack" why --facts "$tmp/seven"
check 'a small screen says what it leaves out' says ' more finding' pty 40 "$lastack" why --facts "$tmp/seven"
check 'one paragraph is one line on a pipe' says 'accept().' \
    sh -c '"$1" why --facts "$2" | grep "The peer.s FIN came"' sh "$lastack" "$classic"
check 'control characters in names' says 'evil\x1b[2Jname\x0a' \
    "$lastack" why --facts "$facts/control-characters.json"
check 'no escape gets through' not says "$escape" \
    "$lastack" why 7 --facts "$facts/control-characters.json"

# ---- pages
if command -v groff >/dev/null 2>&1 && groff -mdoc -z /dev/null 2>/dev/null; then
    for page in "$source"/man/*.[13]; do
        check "$(basename "$page") has no warnings" \
            sh -c 'out=$(groff -mdoc -ww -z -Tutf8 "$1" 2>&1); [ -z "$out" ] || { echo "$out"; exit 1; }' \
            sh "$page"
    done
else
    tap_cnt=$((tap_cnt + 1))
    echo "ok $tap_cnt - pages have no warnings # SKIP groff is not installed"
fi
# Every long option of --help is on the page, and every finding has one.
for command in ss why end run; do
    for option in $("$lastack" "$command" --help | grep -o -- '--[a-z][a-z-]*' | sort -u); do
        case $option in --help | --usage | --version | --json | --all) [ $command = ss ] || continue ;; esac
        case $option in --help | --usage | --version) continue ;; esac
        check "lastack-$command(1) has $option" grep -q -- "-${option#--}" "$source/man/lastack-$command.1"
    done
done
for code in shared unread deaf working blocked unaccepted orphan waiting-peer forgotten; do
    check "a page for $code" grep -q "^# $code: " "$source/docs/findings/$code.md"
    check "lastack-why(1) has $code" grep -q "^.It Cm $code" "$source/man/lastack-why.1"
done
tap_done
