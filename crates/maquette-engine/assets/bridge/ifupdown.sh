# shellcheck shell=sh
# --- ifupdown has no process: its file is written once the change is confirmed.

ifupdown_file() {
    [ -d /etc/network ] || return 0
    for file in /etc/network/interfaces /etc/network/interfaces.d/*; do
        [ -r "$file" ] || continue
        if awk -v nic="$1" '$1 == "iface" && $2 == nic { found = 1 } END { exit !found }' "$file"; then
            echo "$file"
            return 0
        fi
    done
}
# Each line that is ours is noted: `+` for one that came, `>` and `<` for one in another's place and that other.
ifupdown_keep() {
    bridge=$(get bridge) nic=$(get nic)
    [ ! -s "$state/ifupdown.lines" ] || return 0
    file=$(ifupdown_file "$nic")
    [ -n "$file" ] || return 0
    put file "$file"
    cp -p "$file" "$state/file.before"
    : > "$state/ifupdown.lines.new"
    awk -v nic="$nic" -v bridge="$bridge" -v mac="$(get mac)" -v stp="$(get stp)" \
        -v address="$(get address)" -v note="$note" -v lines="$state/ifupdown.lines.new" '
        function came(line) { print line; print "+" line > lines }
        function instead(old, new) { print new; print ">" new > lines; print "<" old > lines }
        BEGIN { came(note) }
        $1 == "auto" || $1 == "allow-hotplug" || $1 == "allow-auto" {
            old = $0
            if (index(" " $0 " ", " " nic " ")) {
                $1 = "auto"
                for (i = 2; i <= NF; i++) if ($i == nic) $i = bridge
                instead(old, $0)
            } else print
            next
        }
        $1 == "iface" && $2 == nic {
            old = $0
            if (!done) came("iface " nic " inet manual")
            $2 = bridge; instead(old, $0)
            if (!done) {
                came("    pre-up ip link add " bridge " address " mac " type bridge stp_state " stp " forward_delay 0 || true")
                came("    pre-up ip link set " nic " up master " bridge)
                if (address != "") came("    up ip address replace " address " dev " bridge)
                came("    post-down ip link delete " bridge " || true")
            }
            done = 1; next
        }
        { print }' "$file" > "$state/file.new"
    # Known before it is written, so that whoever comes after a crash knows which lines are ours.
    keep ifupdown.lines
    write_file "$file" < "$state/file.new"
    # It knows the NIC as up, and the bridge shall be in its place.
    ifupdown_state "$nic" "$bridge"
}
ifupdown_state() { [ ! -w /run/network/ifstate ] || sed -i "s/^$1=$1\$/$2=$2/" /run/network/ifstate; }
# Only our own lines go: somebody may have edited the file since. If he edited those, it is his.
ifupdown_forget() {
    file=$(get file)
    ifupdown_state "$(get bridge)" "$(get nic)"
    if [ ! -e "$state/ifupdown.lines" ] && [ -e "$state/file.before" ]; then ifupdown_lines_of_old; fi
    [ -n "$file" ] && [ -s "$state/ifupdown.lines" ] && [ -e "$file" ] || return 0
    if awk -v left="$state/ifupdown.left" '
        FILENAME == ARGV[1] {
            text = substr($0, 2); kind = substr($0, 1, 1)
            if (kind == "<") { olds[last, counts[last]] = text; known[last, counts[last]] = 1 }
            else { counts[text]++; last = text }
            next
        }
        ($0 in counts) && used[$0] < counts[$0] {
            used[$0]++
            if (known[$0, used[$0]]) print olds[$0, used[$0]]
            next
        }
        { print }
        END {
            printf "" > left
            for (text in counts) { all += counts[text]; found += used[text]; if (used[text] < counts[text]) print text > left }
            # None of them at all: somebody has taken them out by hand.
            exit all == found ? 0 : found ? 3 : 4
        }' "$state/ifupdown.lines" "$file" > "$state/file.new"; then
        write_file "$file" < "$state/file.new"
    else
        code=$?
        [ "$code" != 4 ] || return 0
        echo "$file was edited since $(get bridge) is named there, so that it is left alone. In it, by hand:"
        awk '
            { text = substr($0, 2); kind = substr($0, 1, 1) }
            kind != "<" && was { print "  take out     " was; was = "" }
            kind == "<" { print "  turn         " was; print "  back into    " text; was = ""; next }
            { was = text }
            END { if (was) print "  take out     " was }' "$state/ifupdown.lines"
        return 1
    fi
}
# What the first release noted was the whole file, from which follows what it made of it.
ifupdown_lines_of_old() {
    file=$(get file)
    bridge=$(get bridge) nic=$(get nic)
    awk -v nic="$nic" -v bridge="$bridge" -v note="$note" '
        function has(word,   i) { for (i = 1; i <= NF; i++) if ($i == word) return 1; return 0 }
        FILENAME == ARGV[1] {
            if ($1 ~ /^(auto|allow-hotplug|allow-auto)$/ && has(nic) || $1 == "iface" && $2 == nic) {
                old = $0; if ($1 != "iface") $1 = "auto"
                for (i = 2; i <= NF; i++) if ($i == nic) $i = bridge
                was[$0] = old
            }
            next
        }
        ($0 in was) { print ">" $0; print "<" was[$0]; next }
        $0 == note || $0 == "iface " nic " inet manual" || /^    (pre-up|up|post-down) ip / && has(bridge) { print "+" $0 }
    ' "$state/file.before" "$file" > "$state/ifupdown.lines"
}
