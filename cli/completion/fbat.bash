# SPDX-License-Identifier: Apache-2.0
#
# Completion of fbat for bash. Verbs and options are asked of the command itself, so they are always its own.
# Install as fbat in the directory that `pkg-config --variable=completionsdir bash-completion` prints, or source it.

_fbat_long_options() {
    "$1" help "$2" 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p'
}

# The values that an option takes, where they are a known few; status 1 where they are not.
_fbat_option_values() {
    case $2 in
    --type | -t) echo "json text bytes msgpack cbor protobuf" ;;
    --expect) echo "none exists any" ;;
    --option | -o) "$1" help config 2>/dev/null | sed -n 's/^  \([a-z][a-z0-9_.]*\)$/\1=/p' ;;
    --kind | -k) [ -d "${3:-}" ] && "$1" kinds "$3" --json 2>/dev/null | sed -n 's/.*"name":"\([^"]*\)".*/\1/p' ;;
    *) return 1 ;;
    esac
}

_fbat() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command=${COMP_WORDS[0]} verb=${COMP_WORDS[1]:-} directory=${COMP_WORDS[2]:-} values
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$command" help verbs 2>/dev/null) help --help --version" -- "$current")
        return
    fi
    if [ "$verb" = help ]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$command" help verbs 2>/dev/null) config verbs" -- "$current")
        return
    fi
    if values=$(_fbat_option_values "$command" "$previous" "$directory"); then
        mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
        if [[ ${COMPREPLY[0]:-} == *= ]]; then compopt -o nospace 2>/dev/null || true; fi
        return
    fi
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_fbat_long_options "$command" "$verb")" -- "$current")
        return
    fi
    compopt -o filenames 2>/dev/null || true
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
}

complete -F _fbat fbat
