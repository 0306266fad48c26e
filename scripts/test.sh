#!/bin/bash
#
# test.sh BUILD quick|full|asan [JOBS] - runs every test of a build and ends with "N passed, N failed".
#
# Counted are TAP subtests where a test speaks TAP, else the test as one. asan: what is
# short enough for a sanitizer build.
set -uo pipefail
cd "$(dirname "$0")/.."
build=$1 list=$2 jobs=${3:-2}
logs=$build/test-logs
mkdir -p "$logs"
passed=0 failed=0 failures=

# Adds the results of a TAP stream; a program that died or told nothing counts as a failure.
count() {
    local file=$1 status=$2 good bad
    good=$(grep -cE '^ok ' "$file")
    bad=$(grep -cE '^not ok ' "$file")
    [ "$status" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    [ "$good" -eq 0 ] && [ "$bad" -eq 0 ] && { [ "$status" -eq 0 ] && good=1 || bad=1; }
    passed=$((passed + good)) failed=$((failed + bad))
    if [ "$bad" -gt 0 ]; then
        failures+="-- $(basename "$file" .log) (status $status):"$'\n'
        failures+=$(grep -A12 -E '^not ok ' "$file" || tail -20 "$file")$'\n'
    fi
    printf '%-44s %5d passed %3d failed\n' "$(basename "$file" .log)" "$good" "$bad"
}

step() {
    local name=$1
    shift
    "$@" >"$logs/$name.log" 2>&1
    count "$logs/$name.log" $?
}

# Each of meson's tests by itself, with its own arguments, in the build's folder: paths of programs are from there.
unit_tests() {
    meson introspect "$build" --tests | python3 -c '
import json, shlex, sys
for t in json.load(sys.stdin):
    cmd = list(t["cmd"])
    env = ["%s=%s" % kv for kv in t["env"].items()]
    if sys.argv[1] == "asan" and "--seconds" in cmd:
        cmd[cmd.index("--seconds") + 1] = "10"
    if sys.argv[1] == "asan" and t["name"] == "cli":
        # It provokes a SIGSEGV to see the terminal restored; the sanitizer would take it for itself.
        env.append("ASAN_OPTIONS=detect_leaks=0:handle_segv=0")
    name = t["name"].replace(" ", "-").replace("/", "-")
    print(shlex.quote(name), "env", shlex.join(["-C", sys.argv[2]] + env + ["timeout", "900"] + cmd))' "$list" "$build"
}

# A line of unit_tests: its output and its status into files.
run_line() {
    eval "set -- $1"
    local name=$1
    shift
    "$@" >"$logs/$name.log" 2>&1
    echo $? >"$logs/$name.status"
}
export -f run_line
export logs

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0:abort_on_error=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
ninja -C "$build" >/dev/null || { echo "The build failed."; echo "0 passed, 1 failed"; exit 1; }
unit_tests >"$logs/list"
xargs -d '\n' -P "$jobs" -I LINE bash -c 'run_line "$1"' _ LINE <"$logs/list"
while read -r name _; do
    eval "name=$name"
    count "$logs/$name.log" "$(cat "$logs/$name.status")"
done <"$logs/list"
step includes python3 tests/check-includes.py
if [ "$list" != asan ]; then
    scripts/guest.sh amd64 cloud-amd64 686 686-pae || echo "Some guests could not be fetched; their tests fail."
fi
step guests python3 tests/guest/run.py --viv "$build/viv" --list "$list" --jobs "$jobs"
# What failed comes last, so that the end of a long log tells it.
printf '%s' "$failures"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
