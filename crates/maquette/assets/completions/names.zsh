
# Names of nodes, types, groups, environments, images and files, as the workspace knows them now.
_maquette_names() {
    local -a names
    names=(${(f)"$(maquette complete-names -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    (( $#names )) && compadd -a names
    _maquette "$@"
}
compdef _maquette_names maquette
