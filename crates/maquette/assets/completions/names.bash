
# Names of nodes, types, groups, environments, images and files, as the workspace knows them now. Where there are some,
# nothing else fits.
_maquette_names() {
    local line=${COMP_LINE:0:COMP_POINT} words=() known=() at rest word cut='' breaks='' name
    # Bash takes words apart at `=`, `:` and `@`; what stands together is one.
    for ((at = 0; at <= COMP_CWORD; at++)); do
        rest=${line#"${line%%[![:space:]]*}"}
        word=${COMP_WORDS[at]}
        ((at < COMP_CWORD)) || word=$rest
        if ((at > 0)) && [[ $rest == "$line" ]]; then words[-1]+=$word; else words+=("$word"); fi
        line=${rest#"$word"}
    done
    word=${words[-1]}
    # What is before them stays.
    if [[ $COMP_WORDBREAKS == *=* ]]; then breaks+='='; fi
    if [[ $COMP_WORDBREAKS == *:* ]]; then breaks+=':'; fi
    if [[ $COMP_WORDBREAKS == *@* ]]; then breaks+='@'; fi
    if [[ -n $breaks && $word == *["$breaks"]* ]]; then cut=${word%"${word##*["$breaks"]}"}; fi
    # An `@` belongs to what is completed, for readline.
    cut=${cut%@}
    while IFS= read -r name; do
        [[ $name == "$word"* ]] && known+=("${name#"$cut"}")
    done < <(maquette complete-names -- "${words[@]:1}" 2>/dev/null)
    if ((${#known[@]})); then
        if [[ ${#known[@]} == 1 && ${known[0]} == *[:,] ]]; then compopt -o nospace; fi
    elif [[ -z $cut ]]; then
        _maquette "$@"
        for name in "${COMPREPLY[@]}"; do
            case $name in
                '<'* | '['* | *'...') ;;
                *) known+=("$name") ;;
            esac
        done
    fi
    COMPREPLY=("${known[@]}")
}
complete -F _maquette_names -o bashdefault -o default maquette
