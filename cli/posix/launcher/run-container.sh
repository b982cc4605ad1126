#!/bin/sh
# run-container.sh ENGINE NAME PROXY_PORT DASHBOARD_PORT: starts the proxy's container for the launcher on Node.
set -u
root=${0%/cli/posix/launcher/*}
# shellcheck source=cli/posix/launcher/json.sh
. "$root/cli/posix/launcher/json.sh"
# shellcheck source=cli/posix/launcher/paths.sh
. "$root/cli/posix/launcher/paths.sh"
# shellcheck source=cli/posix/launcher/container.sh
. "$root/cli/posix/launcher/container.sh"
engine=$1
container=$2
run_container "$3" "$4" detached
