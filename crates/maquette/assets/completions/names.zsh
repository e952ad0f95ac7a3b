
# Names of nodes, types, groups, environments, images and files, as the workspace knows them now. Where there are some,
# nothing else fits, but for files to copy.
_maquette_names() {
    local -a names open
    names=(${(f)"$(maquette complete-names -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    # Something follows these.
    open=(${(M)names:#*[:,]})
    names=(${names:#*[:,]})
    (( $#open )) && compadd -S '' -a open
    (( $#names )) && compadd -a names
    if (( $#names + $#open == 0 )) || [[ $words[2] == (cp|scp) ]]; then
        _maquette "$@"
    fi
}
compdef _maquette_names maquette
