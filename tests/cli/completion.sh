#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The completion script for bash parses, and offers every verb and every option of the command itself.
source "$(dirname "$0")/support.bash"

script=$(dirname "$0")/../../cli/completion/fbat.bash
bash -n "$script"
source "$script"

complete_words() { # words before the cursor, the last one being completed
    COMP_WORDS=("$FBAT" "$@")
    COMP_CWORD=$#
    COMPREPLY=()
    _fbat
}

complete_words ""
for verb in $("$FBAT" help verbs) help --help --version; do
    printf '%s\n' "${COMPREPLY[@]}" | grep -x -- "$verb" >/dev/null || fail "$verb is not offered"
done
complete_words "ex"
equal "ex" "${COMPREPLY[*]}" export
for verb in $("$FBAT" help verbs); do
    complete_words "$verb" store --
    equal "options of $verb" "$(printf '%s\n' "${COMPREPLY[@]}" | sort)" \
        "$("$FBAT" help "$verb" | grep -oE '^  --[a-z-]+' | tr -d ' ' | sort)"
done
complete_words append store --type m
equal "types" "${COMPREPLY[*]}" msgpack
complete_words import store - -o sync.ev
equal "configuration fields" "${COMPREPLY[*]}" sync.every_n_events=
run 0 "$FBAT" append "$work/store" -e e -s s -k order.placed
complete_words query "$work/store" --kind o
equal "kinds of the store" "${COMPREPLY[*]}" order.placed
for other in zsh fish; do
    if command -v "$other" >/dev/null; then "$other" -n "${script%.bash}.$other"; fi
done
