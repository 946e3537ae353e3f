# SPDX-License-Identifier: BSD-2-Clause
# TAP for shell tests: . tap.sh, then check NAME COMMAND..., at the end tap_done.
tap_cnt=0
tap_failed=0

# check NAME COMMAND ARGUMENT...: the command must succeed; what it prints is shown if it does not.
check() {
    tap_name=$1
    shift
    tap_cnt=$((tap_cnt + 1))
    if tap_out=$("$@" 2>&1); then
        echo "ok $tap_cnt - $tap_name"
    else
        echo "not ok $tap_cnt - $tap_name"
        printf '%s\n' "$* said:" "$tap_out" | sed 's/^/# /'
        tap_failed=$((tap_failed + 1))
    fi
}

# gives STATUS COMMAND...: the exit status must be this one; output goes through.
gives() {
    want=$1
    shift
    "$@"
    got=$?
    [ "$got" -eq "$want" ] || {
        echo "status $got, not $want"
        return 1
    }
}

# says TEXT COMMAND...: output and errors must contain this text.
says() {
    want=$1
    shift
    got=$("$@" 2>&1)
    case $got in
    *"$want"*) ;;
    *)
        printf '%s\n' "not said: $want" "$got"
        return 1
        ;;
    esac
}

not() {
    ! "$@"
}

tap_done() {
    echo "1..$tap_cnt"
    [ "$tap_failed" -eq 0 ]
}
