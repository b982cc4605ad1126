"""Types into an interactive bash on a terminal of its own: runs the command that the arguments are, stops it with Ctrl-Z,
brings it back with `fg`, and answers it. Prints what the terminal showed; fails where a step is waited for in vain.
For launch.process.test.ts."""
import os, pty, select, shlex, sys, time

pid, terminal = pty.fork()
if pid == 0:
    os.environ["PS1"] = "READY$ "
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])

seen, at = "", 0


def wait_for(text):
    """Reads until the terminal shows the text, behind what was waited for last."""
    global seen, at
    begin = time.time()
    while text not in seen[at:]:
        if time.time() - begin > 30:
            sys.exit(f"waited in vain for {text!r}; seen: {seen!r}")
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                seen += os.read(terminal, 4096).decode(errors="replace")
            except OSError:
                sys.exit(f"the shell has ended; seen: {seen!r}")
    at = seen.index(text, at) + len(text)


def type_in(text):
    os.write(terminal, text.encode())


wait_for("READY$ ")
type_in(" ".join(shlex.quote(word) for word in sys.argv[1:]) + '\n')
wait_for("IS-UP")
type_in("\x1a")
wait_for("Stopped")
wait_for("READY$ ")
type_in("fg; echo \"ended with $?\"\n")
# The echo of what was typed, then the command's own line: it has the terminal again.
wait_for("fg;")
wait_for("claude-db-proxy.sh")
type_in("again\n")
wait_for("ended with 5")
type_in("exit\n")
print(seen)
