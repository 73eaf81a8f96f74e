#compdef fbat
# SPDX-License-Identifier: Apache-2.0
#
# Completion of fbat for zsh. Verbs and options are asked of the command itself, so they are always its own.
# Install as _fbat in a directory of $fpath.

_fbat() {
    local command=${words[1]} verb=${words[2]}
    local -a choices
    if ((CURRENT == 2)); then
        choices=(${(f)"$($command help verbs 2>/dev/null)"} help --help --version)
        compadd -a choices
    elif [[ $verb == help ]]; then
        choices=(${(f)"$($command help verbs 2>/dev/null)"} config verbs)
        compadd -a choices
    elif [[ ${words[CURRENT]} == -* ]]; then
        choices=(${(f)"$($command help $verb 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p')"})
        compadd -a choices
    elif [[ ${words[CURRENT - 1]} == (--option|-o) ]]; then
        choices=(${(f)"$($command help config 2>/dev/null | sed -n 's/^  \([a-z][a-z0-9_.]*\)$/\1=/p')"})
        compadd -S '' -a choices
    else
        _files
    fi
}

_fbat "$@"
