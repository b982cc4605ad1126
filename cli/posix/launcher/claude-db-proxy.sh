#!/bin/sh
# The launcher that HOME/.local/bin/claude-db-proxy runs: with Node it is dist/cli/main.js; on a machine without Node 20.19
# or later it is the rest of this directory, which starts the proxy in a container. Whatever is missing, claude starts.
set -u

root=${0%/cli/posix/launcher/*}
# The Node that the installer found, by its own path.
[ -x "$root/node" ] && exec "$root/node" "$root/dist/cli/main.js" "$@"

# shellcheck source=cli/posix/launcher/find-node.sh
. "$root/cli/posix/launcher/find-node.sh"
if [ -f "$root/dist/cli/main.js" ]; then
  node=$(find_node)
  [ -n "$node" ] && exec "$node" "$root/dist/cli/main.js" "$@"
fi

# shellcheck source=cli/posix/launcher/places.sh
. "$root/cli/posix/launcher/places.sh"
# shellcheck source=cli/posix/launcher/container.sh
. "$root/cli/posix/launcher/container.sh"
# shellcheck source=cli/posix/launcher/proxy.sh
. "$root/cli/posix/launcher/proxy.sh"
# shellcheck source=cli/posix/launcher/claude.sh
. "$root/cli/posix/launcher/claude.sh"
# shellcheck source=cli/posix/launcher/commands.sh
. "$root/cli/posix/launcher/commands.sh"

command_or_claude "$@"
