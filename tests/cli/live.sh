#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# live.sh LASTACK LEAK SOURCE: real leaks under `lastack run`, seen and ended from outside.
set -u
lastack=$(realpath "$1")
leak=$(realpath "$2")
source=$3
. "$source/tests/cli/tap.sh"
tmp=$(mktemp -d)
export LASTACK_DIR="$tmp/run"
mkdir -m 700 "$LASTACK_DIR"
running=
stop_all() {
    for pid in $running; do kill "$pid" 2>/dev/null; done
    rm -rf "$tmp"
}
trap stop_all EXIT
trap 'exit 1' HUP INT TERM

# start NAME MODE [COUNT]: `lastack run --name NAME -- leak MODE COUNT`; ends when the pipe is closed.
start() {
    name=$1
    shift
    mkfifo "$tmp/$name.in"
    "$lastack" run --grace 0 --name "$name" -- "$leak" "$@" <"$tmp/$name.in" >"$tmp/$name.out" 2>&1 &
    running="$running $!"
    echo $! >"$tmp/$name.pid"
    exec 9>"$tmp/$name.in"
}

# stop NAME: close the pipe, wait for the end.
stop() {
    exec 9>&-
    wait "$(cat "$tmp/$1.pid")"
}

# until_says TEXT COMMAND...: try for 30 s.
until_says() {
    tries=300
    until says "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || {
            says "$@"
            return 1
        }
        sleep 0.1
    done
}

# Ids of connections of stack $1 in state $2.
ids() {
    "$lastack" ss -H --stack "$1" --state "$2" | awk '{print $6}'
}

# ---- every class that a program can show
for case in 'classic:PROBLEM last-close-missing (shared, certain)' 'classic:Also holder-stuck: ' \
    'dup:PROBLEM dup-holds (shared, certain)' 'deaf:ATTENTION end-consumed (deaf, inferred)' \
    'unread:PROBLEM unread-data (unread, certain)' 'working:HEALTHY half-close (working, certain)' \
    'blocked:NOTE fin-behind-zero-window (blocked, certain)' 'stopped:is stopped: it cannot act' \
    'unaccepted:PROBLEM never-accepted (unaccepted, certain)' \
    'unaccepted:NOTE fin-wait-orphan (orphan, certain)' 'classic:NOTE fin-wait-'; do
    mode=${case%%:*}
    start "$mode" "$mode"
    check "$mode: ${case#*:}" until_says "${case#*:}" "$lastack" why --all --stack "$mode"
    stop "$mode"
    rm "$tmp/$mode.in"
done

# ---- the classic story
start classic classic 3
until_says '3 connections will not end' "$lastack" why --stack classic >/dev/null
check 'ss shows CLOSE-WAIT' says 'CLOSE-WAIT' "$lastack" ss --stack classic
check 'ss -p names the holder' says "leak pid=" "$lastack" ss -p --stack classic --state close-wait
check 'ss -l shows the listener' says '  64  127.0.0.1:' "$lastack" ss -l --stack classic
check 'why tells of three as one' says '(shared, certain): 3 connections' "$lastack" why --stack classic
check 'and how to end them all' says 'lastack end --finding last-close-missing' "$lastack" why --stack classic
check 'why sees the kernel and the stack' says 'for example classic/' "$lastack" why
check 'why names the close' says ', so no FIN left; process' \
    "$lastack" why --stack classic
check 'why names who holds it, and what it does' says 'and is waiting in accept().' "$lastack" why --stack classic
check 'why: status 1' gives 1 "$lastack" why --stack classic
number=$(ids classic close-wait | head -n 1)
id=classic/$number
check 'why ID' says "the peer's FIN came" "$lastack" why --stack classic "$number"
check 'why NAME/ID' says 'What to change' "$lastack" why "$id"
check 'why ID names the other end' says 'The other end, on this machine' "$lastack" why "$id"
check 'why ID --svg' says '</svg>' "$lastack" why "$id" --svg -
check 'end plans' says 'shutdown(SHUT_WR) in the name of its owners' "$lastack" end "$id"
check 'and does nothing' says "Nothing has been done yet. To do it:  lastack end $id --yes" "$lastack" end "$id"
check 'end -n does nothing' says 'Nothing has been done yet' "$lastack" end -n --yes "$id"
check 'it is still there' says "$number" ids classic close-wait
check 'end ends it' says 'CLOSE-WAIT -> LAST-ACK -> closed' "$lastack" end --yes --log "$tmp/end.log" "$id"
check 'and logs it' says '"steps":[{"how":"wr","errno":0}],"outcome":"ended"' cat "$tmp/end.log"
check 'the client sees the end of the stream' until_says 'client: end of stream' cat "$tmp/classic.out"
check 'a second end has nothing to end' says 'has no connection any more' gives 1 "$lastack" end "$id"
check 'two are left' until_says '2 connections will not end' "$lastack" why --stack classic
listener=classic/$("$lastack" ss -lH --stack classic | awk '{print $6}')
check 'a listener is not ended' says 'is a listener' gives 1 "$lastack" end "$listener"
check 'no such connection' says 'there is no connection classic/99999' gives 1 "$lastack" end classic/99999

# ---- a second stack
"$lastack" run --grace 0 --name second -- "$leak" working <"$tmp/classic.in" >"$tmp/second.out" 2>&1 &
second=$!
running="$running $second"
check 'two stacks: ids have names' until_says 'second/' "$lastack" ss -a
check 'two stacks: --stack' not says 'classic' "$lastack" ss --stack second
until_says 'HEALTHY half-close' "$lastack" why --all --stack second >/dev/null
works=$(ids second close-wait)
check 'a half-close that works is known' until_says 'is half-closed on purpose' "$lastack" end "second/$works"
check 'and not ended' gives 1 "$lastack" end "second/$works"
check '--force ends it' says 'CLOSE-WAIT -> LAST-ACK -> closed' "$lastack" end --force --yes --no-log "second/$works"
check 'a name is taken once' says 'running' \
    not "$lastack" run --name second -- true
kill "$second"
wait "$second" 2>/dev/null
check 'a stack that is gone is not listed' until_says 'there is no running stack named second' \
    "$lastack" ss --stack second
stop classic
rm "$tmp/classic.in"

# ---- the repaired server leaves nothing
start repaired repaired 3
check 'repaired: clients see the end' until_says "$(printf 'client: end of stream\nclient: end of stream')" \
    cat "$tmp/repaired.out"
check 'repaired: no CLOSE-WAIT' gives 0 sh -c '[ -z "$("$1" ss -H --stack repaired --state close-wait)" ]' sh "$lastack"
check 'repaired: nothing is wrong' says 'Nothing is wrong' gives 0 "$lastack" why --stack repaired
stop repaired

# ---- each example in --help works
start web classic 8
until_says '8 connections will not end' "$lastack" why --stack web >/dev/null
mkdir "$tmp/bin"
ln -s "$lastack" "$tmp/bin/lastack"
printf '#!/bin/sh\n' >"$tmp/bin/alarm"
chmod +x "$tmp/bin/alarm"
PATH="$tmp/bin:$PATH"
export PATH
cd "$tmp" || exit 1
for command in '' ss why end; do
    # shellcheck disable=SC2086
    "$lastack" $command --help | sed -n '/^Examples:/,/^$/s/^  \(lastack [a-z]* *[^ ].*\)$/\1/p' |
        grep -v -e '^lastack run' -e '--watch' | sed 's/   .*//' >examples
    [ -s examples ] || check "$command --help has examples" false
    while read -r example; do
        a=$(ids web close-wait | sed -n 1p)
        b=$(ids web close-wait | sed -n 2p)
        end=$("$lastack" ss -H --stack web --state close-wait | awk '{print $5; exit}')
        # The kernel's connections are other people's: nothing of them is ended, and a port may be theirs.
        line=$(echo "$example" | sed "s/\\b\\(7\\|4097\\)\\b/web\\/$a/; s/web\\/web/web/; s/\\b9\\b/$b/
            s/10.0.0.2:8080/$end/; s/ :8080/ :${end##*:}/; s/--yes/--yes --no-log/
            /--stack/!s/^lastack \\(why\\|ss\\|end\\)/& --stack web/; s/--follow/--follow --json | head -n 1/
            s|/etc/lastack/policy|$source/share/policy|")
        check "example: $example" sh -c "$line"'; [ $? -le 1 ]' </dev/null
    done <examples
done
check 'recorded facts of a real leak' says 'PROBLEM last-close-missing (shared, certain)' "$lastack" why --facts facts
cd / || exit 1
stop web

# ---- the kernel's own connections
mkfifo "$tmp/kernel.in"
"$leak" classic 3 <"$tmp/kernel.in" >"$tmp/kernel.out" 2>&1 &
kernel=$!
running="$running $kernel"
exec 9>"$tmp/kernel.in"
# Processes of this leak: its server is the child that listens.
port() {
    "$lastack" ss -lpH --stack kernel --program leak --here --json |
        python3 -c 'import json, os, sys
def parent(pid):
    with open(f"/proc/{pid}/stat") as f:
        return int(f.read().rsplit(")", 1)[1].split()[1])
for r in json.load(sys.stdin):
    if any(parent(h["pid"]) == int(sys.argv[1]) for h in r["holders"]):
        print(r["local_port"])
        break' "$kernel"
}
tries=300
until port=$(port 2>/dev/null) && [ -n "$port" ] || [ "$tries" -eq 0 ]; do
    tries=$((tries - 1))
    sleep 0.1
done
kernel_why() {
    "$lastack" why --stack kernel --here --port "$port" "$@"
}
check 'kernel: three leaks are one block' until_says '): 3 connections' kernel_why
check 'kernel: the holder is named' says '(leak) holds descriptor' kernel_why
check 'kernel: status 1' gives 1 kernel_why
check 'kernel: without BPF' says '): 3 connections' kernel_why --no-bpf
check 'kernel: --pid leaves out' says 'Nothing is wrong' gives 0 kernel_why --pid $$
id=$("$lastack" ss -H --stack kernel --here --state close-wait --port "$port" | awk '{print $6; exit}')
check 'kernel: the story' says 'The other end, on this machine' "$lastack" why "kernel/$id"
check 'kernel: an end of it is a name' says 'What happened' "$lastack" why --stack kernel --here ":$(
    "$lastack" ss -H --stack kernel --here --state close-wait --port "$port" |
        awk '{sub(".*:", "", $5); print $5; exit}')"
check 'kernel: several are listed' says 'may be any of 3' gives 2 "$lastack" why --stack kernel --here ":$port"
check 'kernel: JSON' sh -c '"$1" why --json --stack kernel --here --port "$2" | python3 -m json.tool' \
    sh "$lastack" "$port"
exec 9>&-
wait "$kernel"
tap_done
