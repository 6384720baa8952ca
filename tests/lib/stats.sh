#!/bin/bash
# SPDX-License-Identifier: MIT
# Sizes that drift unseen: stats.sh FILE.c ...
# A function is taken to end at the first "}" in column 1 after a line that begins its body.
set -euo pipefail

awk '
    FNR == 1 { files++; in_body = 0 }
    { lines++; file_lines[FILENAME] = FNR }
    /CHECK\(/ { checks++ }
    /^\{/ { start = FNR; in_body = FILENAME ~ /\.c$/ }
    /^\}/ && in_body { print FNR - start - 1, FILENAME ":" start; in_body = 0 }
    END {
        for (f in file_lines)
            if (file_lines[f] > longest) { longest = file_lines[f]; name = f }
        printf "%d files, %d lines, one CHECK in %d lines, longest file %s (%d)\n", files, lines,
            checks ? lines / checks : 0, name, longest >"/dev/stderr"
    }' "$@" | sort -n | awk '
    { size[NR] = $1; where[NR] = $2 }
    END {
        if (!NR) exit
        printf "%d functions: median %d, p90 %d, longest %d (%s)\n", NR, size[int((NR + 1) / 2)],
            size[int(NR * 0.9) ? int(NR * 0.9) : 1], size[NR], where[NR]
    }'
