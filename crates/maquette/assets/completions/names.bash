
# Names of nodes, types, groups, environments, images and files, as the workspace knows them now.
_maquette_names() {
    local name known=() word="${COMP_WORDS[COMP_CWORD]}"
    _maquette "$@"
    for name in "${COMPREPLY[@]}"; do
        case $name in
            '<'* | '['* | *'...') ;;
            *) known+=("$name") ;;
        esac
    done
    while IFS= read -r name; do
        [[ $name == "$word"* ]] && known+=("$name")
    done < <(maquette complete-names -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    COMPREPLY=("${known[@]}")
}
complete -F _maquette_names -o bashdefault -o default maquette
