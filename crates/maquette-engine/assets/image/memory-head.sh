# Prints the beginning of a file in base64. $1: the file  $2: how many bytes
head -c "$2" -- "$1" | base64 -w 0
