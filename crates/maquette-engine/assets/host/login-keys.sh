# Changes which SSH keys open the account that this runs in, and root. Standard input has a line for each key: `+ KEY` for
# one that comes, `- KEY` for one that goes. A key is known by its middle, whatever stands before and after that.
set -eu
lines=$(cat)
change='
umask 077
mkdir -p "$1/.ssh"
file=$1/.ssh/authorized_keys
[ -e "$file" ] || : >"$file"
# What a run leaves that was cut off is there under the same name for the next one.
new=$1/.ssh/authorized_keys.maquette
rm -f "$new"
awk '"'"'
    NR == FNR { if (NF >= 3) { known[$3] = 1; if ($1 == "+") come[++n] = substr($0, 3) } next }
    { stays = 1; for (i = 1; i <= NF; i++) if ($i in known) stays = 0; if (stays) print }
    END { for (i = 1; i <= n; i++) print come[i] }
'"'"' - "$file" >"$new"
chmod 600 "$new"
sync "$new" 2>/dev/null || sync
mv -f "$new" "$file"
'
printf '%s\n' "$lines" | sh -euc "$change" sh "$HOME"
[ "$(id -u)" = 0 ] || printf '%s\n' "$lines" | sudo -n sh -euc "$change" sh "$(eval echo ~root)"
