#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The bash completion of shortenerctl. usage: test_completion.bash SOURCE
set -euo pipefail
# shellcheck source=completion/bash/shortenerctl
. "$1/completion/bash/shortenerctl"
cd "$1"

passed=0 failed=0

# Prints the words that it reads in order.
sorted() {
    tr ' ' '\n' | sort | tr '\n' ' '
}

# check EXPECTED WORD...: what is offered for the last word, which may be empty. Words are given as
# bash splits them: --type=users is three.
check() {
    local expected offered
    expected=$(echo "$1" | sorted)
    COMP_WORDS=(shortenerctl "${@:2}")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    _shortenerctl
    offered=$(echo "${COMPREPLY[*]}" | sorted)
    if [[ $offered == "$expected" ]]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "${*:2}: offered \"$offered\", not \"$expected\""
    fi
}

every="--config= --store= --set= --json --help --version"

check "db seed import export user token link stats clicks audit start stop reload rolling-restart recover nginx-upstream doctor config monitoring" ""
check "db doctor" "d"
check "import" "im"
check "" "nonsense"
check "$every" "-"
check "--store= --set=" "--s"
check "init migrate status" db ""
check "status ship" clicks s
check "list" link li
check "list" --json user --store = sqlite:/x "l"
check "list" user --json "l"
check "init migrate status" --config /etc/x db ""
check "$every" db init "-"
check "$every --dry-run" db migrate "-"
check "--force" seed "--f"
check "--type=" import "--t"
check "users urls events" import --type = ""
check "users urls events" import --type "="
check "urls users" import --type = u
check "csv jsonl" export --format ""
check "users urls events" export ""
check "urls users" export --format = csv u
check "events" export --output = file e
check "" user show ""
check "" user add "x"
check "--yes" link delete 5 "--y"
check "url: user: token: event:" audit --object = ""
check "--since=" audit "--si"
check "sqlite:" --store ""
check "seed_data" seed seed_d
check "seed_data/users.csv" import seed_data/us
check "seed_data/users.csv" import --errors = seed_data/us
check "CMakeLists.txt" import CMakeL
check "src" clicks adopt sr

# What the service manager knows, without one.
systemctl() {
    [[ $* == "list-units --all --plain --no-legend shortener@*.service" ]] || return 1
    echo "shortener@1.service loaded active running URL shortener, instance 1"
    echo "shortener@12.service loaded failed failed URL shortener, instance 12"
}
check "1 12" stop ""
check "12" rolling-restart 1 12
check "" recover ""

echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
