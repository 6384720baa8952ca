#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs one fuzz target from its corpus: fuzz-one.sh BIN_DIR TARGET SECONDS
# New finds and crashing inputs stay under the build directory.
set -euo pipefail

bin=$1 target=$2 seconds=$3
name=${target#fuzz_}
finds=$bin/corpus/$name
args=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1
    -artifact_prefix="$bin/crash-$name-")

mkdir -p "$finds"
[ -f "tests/fuzz/$name.dict" ] && args+=("-dict=tests/fuzz/$name.dict")
corpus=("$finds")
[ -d "tests/fuzz/corpus/$name" ] && corpus+=("tests/fuzz/corpus/$name")
log=$bin/fuzz-$name.log
if ! "$bin/$target" "${args[@]}" "${corpus[@]}" >"$log" 2>&1; then
    tail -n 60 "$log"
    echo "fuzz $name: failed; inputs: $bin/crash-$name-*"
    exit 1
fi
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
echo "fuzz $name: $runs runs, no failure"
