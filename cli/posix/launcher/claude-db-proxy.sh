#!/bin/sh
# The launcher that HOME/.local/bin/claude-db-proxy runs: with Node it is dist/cli/main.js; on a machine without Node 20.19
# or later it is the rest of this directory, which starts the proxy in a container. Whatever is missing, claude starts.
set -u

root=${0%/cli/posix/launcher/*}
# shellcheck source=cli/posix/launcher/json.sh
. "$root/cli/posix/launcher/json.sh"

# Sets $node to a Node that can run the program; fails where there is none.
find_program() {
  # The one that the installer found, by its own path.
  node=$root/node
  [ -x "$node" ] && return 0
  # shellcheck source=cli/posix/launcher/find-node.sh
  . "$root/cli/posix/launcher/find-node.sh"
  [ -f "$root/dist/cli/main.js" ] || return 1
  node=$(find_node)
  [ -n "$node" ]
}

run_program() {
  case ${1-} in
    # Commands of ours, and questions to claude for which no proxy is needed.
    proxy-* | status | start | stop | logs | history | dashboard | serve | demo | uninstall | --version | -v | --help | -h) ;;
    *)
      # shellcheck source=cli/posix/launcher/startup-probe.sh
      . "$root/cli/posix/launcher/startup-probe.sh"
      startup_probe
      # Node reads these certificates at its start, which takes as long as all else that a launch does. They are for
      # claude, and for the proxy: cli/main.ts puts them back.
      if [ -n "${NODE_EXTRA_CA_CERTS-}" ]; then
        export DBPROXY_LATER_CA_CERTS="$NODE_EXTRA_CA_CERTS"
        unset NODE_EXTRA_CA_CERTS
      fi
      ;;
  esac
  exec "$node" "$root/dist/cli/main.js" "$@"
}

case ${1-} in
  statusline | proxy-statusline)
    # shellcheck source=cli/posix/launcher/status-line.sh
    . "$root/cli/posix/launcher/status-line.sh"
    if status_line_can || ! find_program; then
      status_line
      exit 0
    fi
    ;;
esac
find_program && run_program "$@"

# shellcheck source=cli/posix/launcher/paths.sh
. "$root/cli/posix/launcher/paths.sh"
# shellcheck source=cli/posix/launcher/container.sh
. "$root/cli/posix/launcher/container.sh"
# shellcheck source=cli/posix/launcher/proxy.sh
. "$root/cli/posix/launcher/proxy.sh"
# shellcheck source=cli/posix/launcher/claude.sh
. "$root/cli/posix/launcher/claude.sh"
# shellcheck source=cli/posix/launcher/commands.sh
. "$root/cli/posix/launcher/commands.sh"

command_or_claude "$@"
