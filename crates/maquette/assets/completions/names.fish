
# Names of nodes, types, groups, environments, images and files, as the workspace knows them now.
complete -c maquette -a '(maquette complete-names -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
