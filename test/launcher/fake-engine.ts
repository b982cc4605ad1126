/**
 * A container engine that has no containers: `run` starts the program as a process of this machine, with the environment
 * that the arguments give it, and the other words of docker and podman act on that. So that a launcher can be tested
 * wherever Node is; what a real engine makes of the same words, test/e2e/container shows.
 *
 *   state/calls        every call, one a line, its arguments as JSON-free words between `|`
 *   state/pid, name, data-dir, restarts    of the one container
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = `'${process.execPath}' '${join(ROOT, 'dist/cli/main.js')}'`;

const script = (state: string, rootless: boolean): string => `#!/bin/sh
state='${state}'
{ printf '|'; printf '%s|' "$@"; echo; } >>"$state/calls"
# Killed, it stays in the table of processes until somebody asks for its end.
alive() { [ -f "$state/pid" ] && case $(/bin/ps -o stat= -p "$(cat "$state/pid")") in '' | Z*) false ;; esac }
case "$1 \${2-}" in
  'info '*) case $* in *Rootless*) echo ${rootless} ;; *) echo '[${rootless ? '"name=rootless"' : ''}]' ;; esac ;;
  'image inspect') [ ! -f "$state/no-image" ] || { echo 'Error: no such image' >&2; exit 1; } ;;
  'container inspect')
    [ -f "$state/name" ] || { echo 'no such container' >&2; exit 1; }
    if alive; then echo running; else echo exited; fi
    echo 0
    cat "$state/data-dir"
    ;;
  'run '*)
    shift
    while [ $# -gt 0 ]; do
      case $1 in
        --env) case $2 in *=*) export "$2" ;; esac; shift ;;
        --label) case $2 in *data-dir=*) printf '%s\\n' "\${2#*data-dir=}" >"$state/data-dir" ;; esac; shift ;;
        --name) printf '%s\\n' "$2" >"$state/name"; shift ;;
        --volume | --user | --userns | --network | --publish | --pull | --restart | --log-driver | --log-opt | --security-opt | --cap-drop | --tmpfs) shift ;;
        -*) ;;
        *) shift; break ;;
      esac
      shift
    done
    unset NODE_EXTRA_CA_CERTS
    export -p >"$state/environment"
    ${PROGRAM} "$@" </dev/null >"$state/log" 2>&1 &
    echo $! >"$state/pid"
    echo 0123456789ab
    ;;
  'start '*)
    . "$state/environment"
    ${PROGRAM} serve --no-record </dev/null >>"$state/log" 2>&1 &
    echo $! >"$state/pid"
    ;;
  'logs '*) cat "$state/log" ;;
  'stop '*) ! alive || kill "$(cat "$state/pid")"; while alive; do sleep 0.05; done ;;
  'rm '*) ! alive || kill -9 "$(cat "$state/pid")"; rm -f "$state/pid" "$state/name" "$state/data-dir" ;;
  'exec '*)
    shift
    while [ "\${1#-}" != "$1" ]; do shift; done
    shift
    . "$state/environment"
    case $1 in
      node) exec '${process.execPath}' '${join(ROOT, 'dist/cli/health.js')}' ;;
      *) shift; exec ${PROGRAM} "$@" ;;
    esac
    ;;
  *) echo "fake engine: $*" >&2; exit 125 ;;
esac
`;

export class FakeEngine {
  readonly #state: string;

  /** Puts `name` into `bin`; its state goes to a directory of its own below \`home\`. */
  constructor(name: 'docker' | 'podman', bin: string, home: string, options: { readonly rootless?: boolean } = {}) {
    this.#state = join(home, `engine-${name}`);
    mkdirSync(this.#state, { recursive: true });
    const path = join(bin, name);
    writeFileSync(path, script(this.#state, options.rootless === true));
    chmodSync(path, 0o755);
  }

  /** The arguments of every call that began with that word. */
  calls(word: string): readonly (readonly string[])[] {
    return this.#lines('calls')
      .map((line) => line.slice(1, -1).split('|'))
      .filter(([first]) => first === word);
  }

  /** From now on there is no image. */
  loseImage(): void {
    writeFileSync(join(this.#state, 'no-image'), '');
  }

  /** The process that stands for the container; null when there is none. */
  get pid(): number | null {
    const pid = Number(this.#lines('pid')[0]);
    return pid > 1 ? pid : null;
  }

  kill(): void {
    const { pid } = this;
    if (pid === null) return;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }

  #lines(file: string): readonly string[] {
    try {
      return readFileSync(join(this.#state, file), 'utf8')
        .split('\n')
        .filter((line) => line !== '');
    } catch {
      return [];
    }
  }
}
