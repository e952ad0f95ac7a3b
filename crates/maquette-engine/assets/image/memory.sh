# Makes one node's copy of a template's memory image, which goes when this shell ends: whoever gives it its input has
# died, or needs it no more.
# $1: the template's  $2: the copy
# The first line of input are the bytes that it begins with in place of the template's, in base64.
umask 077
trap 'rm -f -- "$2"' EXIT
trap 'exit 1' HUP INT TERM
rm -f -- "$2"
IFS= read -r head
cp --reflink=auto -- "$1" "$2"
printf '%s' "$head" | base64 -d | dd of="$2" conv=notrunc status=none
echo ":: $2"
read -r _ || :
