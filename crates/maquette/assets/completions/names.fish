
# Names of nodes, types, groups, environments, images and files, as the workspace knows them now.
function __maquette_names
    set -l typed (commandline -ct)
    set -l found (maquette complete-names -- (commandline -opc)[2..] "$typed" 2>/dev/null)
    # What is before a flag's value is no part of it to fish.
    string replace -r -- '^--[^=]*=' '' $found
end
# Where there are some, nothing else fits, but for files to copy.
function __maquette_named
    set -g __maquette_found (__maquette_names)
    test (count $__maquette_found) -gt 0
end
complete -c maquette -n 'not __fish_seen_subcommand_from cp scp; and __maquette_named' -f -a '$__maquette_found'
complete -c maquette -n '__fish_seen_subcommand_from cp scp; and __maquette_named' -a '$__maquette_found'
