# SPDX-License-Identifier: Apache-2.0
#
# Completion of fbat for fish. Verbs and options are asked of the command itself, so they are always its own.
# Install as fbat.fish in a directory of $fish_complete_path.

function __fbat_verb
    set -l words (commandline -opc)
    test (count $words) -ge 2; and echo $words[2]
end

function __fbat_options
    fbat help (__fbat_verb) 2>/dev/null | string match -rg '^  (--[a-z-]+)'
end

complete -c fbat -n 'test -z (__fbat_verb)' -f -a '(fbat help verbs) help'
complete -c fbat -n 'test "$(__fbat_verb)" = help' -f -a '(fbat help verbs) config'
complete -c fbat -n 'test -n (__fbat_verb)' -a '(string match -q -- "-*" (commandline -ct); and __fbat_options)'
