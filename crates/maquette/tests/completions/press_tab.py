"""Types lines into a shell as somebody at a terminal does, presses Tab behind each, and prints what the lines become.

    press_tab.py SHELL SCRIPT < LINES
"""

import os
import pty
import select
import sys
import time

MARK = "\x07"  # Ctrl-G: the shell prints its line between `<<` and `>>`

BASH = r"""
PS1='ready'
source {script}
bind 'set completion-query-items 0'
bind 'set bell-style none'
bind 'set enable-bracketed-paste off'
bind -x '"\C-g": printf "<<%s>>" "$READLINE_LINE"'
"""

ZSH = r"""
PS1=ready
autoload -U compinit && compinit -D -u
unsetopt listambiguous automenu beep zle_bracketed_paste 2>/dev/null
LISTMAX=0
source {script}
shown() {{ print -rn -- "<<$BUFFER>>" }}
zle -N shown
bindkey -e
bindkey '^G' shown
"""

FISH = r"""
function fish_prompt; echo -n ready; end
function fish_right_prompt; end
set -g fish_greeting
set -g fish_autosuggestion_enabled 0
set -g fish_color_command normal
source {script}
bind \cg 'echo -n "<<"(commandline)">>"'
"""

SHELLS = {
    "bash": (["bash", "--noprofile", "--rcfile"], BASH),
    "zsh": (["zsh", "-i"], ZSH),
    "fish": (["fish", "--no-config", "--init-command"], FISH),
}


class Shell:
    def __init__(self, name, script):
        words, start = SHELLS[name]
        start = start.format(script=script)
        if name == "bash":
            with open("bashrc", "w") as file:
                file.write(start)
            words = [*words, "bashrc", "-i"]
        elif name == "zsh":
            with open(".zshrc", "w") as file:
                file.write(start)
        else:
            words = [*words, start]
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(ZDOTDIR=os.getcwd(), TERM="dumb" if name != "fish" else "xterm", COLUMNS="200")
            os.execvp(words[0], words)
        self.seen = ""
        self.until("ready")

    def until(self, end, limit=30):
        """Reads what the shell prints until that is among it, and returns all before its end."""
        deadline = time.monotonic() + limit
        while end not in self.seen:
            ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                sys.exit(f"the shell does not print {end!r}: {self.seen!r}")
            try:
                self.seen += os.read(self.terminal, 65536).decode(errors="replace")
            except OSError:
                sys.exit(f"the shell has ended: {self.seen!r}")
        before, _, self.seen = self.seen.partition(end)
        return before

    def press(self, keys):
        os.write(self.terminal, keys.encode())

    def tab(self, line):
        self.press(line + "\t" + MARK)
        said = self.until(">>")
        self.press("\x15")
        return said.rpartition("<<")[2], said.rpartition("<<")[0]


shell = Shell(sys.argv[1], sys.argv[2])
for line in sys.stdin.read().splitlines():
    becomes, said = shell.tab(line)
    print(becomes)
    if "not found" in said:
        sys.exit(f"{line!r} made the shell say {said!r}")
