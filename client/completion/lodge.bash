# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion of lodge(1) for bash.  The words come from the command itself.

_lodge() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]}

    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$("$program" help --words 2>/dev/null)" -- "$current")
        return
    fi
    case $previous in
    --file | -f)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --exec | -x)
        mapfile -t COMPREPLY < <(compgen -c -- "$current")
        return
        ;;
    --format | -o)
        mapfile -t COMPREPLY < <(compgen -W "raw json headers" -- "$current")
        return
        ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(
            compgen -W "$("$program" help --words "$command" 2>/dev/null)" -- "$current"
        )
    elif [[ $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$program" help --words 2>/dev/null)" -- "$current")
    elif [[ $command == bench ]] && ((COMP_CWORD == 2)); then
        mapfile -t COMPREPLY < <(compgen -W "pub sub both" -- "$current")
    fi
}

complete -F _lodge lodge
