#!/bin/sh
# The launcher that HOME/.local/bin/claude-db-proxy runs: with Node it is dist/cli/main.js; on a machine without Node 20.19
# or later it is the rest of this directory, which starts the proxy in a container. Whatever is missing, claude starts.
set -u

root=${0%/launcher/*}
# The Node that the installer found, by its own path.
[ -x "$root/node" ] && exec "$root/node" "$root/dist/cli/main.js" "$@"

# shellcheck source=launcher/find-node.sh
. "$root/launcher/find-node.sh"
if [ -f "$root/dist/cli/main.js" ]; then
  node=$(find_node)
  [ -n "$node" ] && exec "$node" "$root/dist/cli/main.js" "$@"
fi

# shellcheck source=launcher/places.sh
. "$root/launcher/places.sh"
# shellcheck source=launcher/container.sh
. "$root/launcher/container.sh"
# shellcheck source=launcher/proxy.sh
. "$root/launcher/proxy.sh"
# shellcheck source=launcher/claude.sh
. "$root/launcher/claude.sh"
# shellcheck source=launcher/commands.sh
. "$root/launcher/commands.sh"

command_or_claude "$@"
