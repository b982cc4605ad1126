#!/bin/sh
# The installer, from a complete tree: a checkout, an unpacked release, or an installed version.
#
#   main.sh install|update checkout|release FROM     called by install.sh
#   main.sh proxy-update                             called by the command: gets the newest and updates to it
#   main.sh uninstall [--keep-data]                  called by the command
#
# With the new version comes its own installer; what an older one wrote down (install.json) is all that it needs to know.
set -eu
umask 022

tree=$(CDPATH='' cd -- "$(dirname -- "$0")/../../.." && pwd -P)
# shellcheck source=cli/posix/installer/common.sh
. "$tree/cli/posix/installer/common.sh"
# shellcheck source=cli/posix/launcher/find-node.sh
. "$tree/cli/posix/launcher/find-node.sh"
# shellcheck source=cli/posix/installer/application.sh
. "$tree/cli/posix/installer/application.sh"
# shellcheck source=cli/posix/installer/engine.sh
. "$tree/cli/posix/installer/engine.sh"
# shellcheck source=cli/posix/installer/status-line.sh
. "$tree/cli/posix/installer/status-line.sh"
# shellcheck source=cli/posix/installer/record.sh
. "$tree/cli/posix/installer/record.sh"
# shellcheck source=cli/posix/installer/install.sh
. "$tree/cli/posix/installer/install.sh"
# shellcheck source=cli/posix/installer/uninstall.sh
. "$tree/cli/posix/installer/uninstall.sh"

# Again, from where this version came from, or from DBPROXY_RELEASE_URL.
proxy_update() {
  from=$(recorded from)
  if [ -n "${DBPROXY_RELEASE_URL-}" ] || [ "$(recorded source)" = release ]; then
    DBPROXY_RELEASE_URL=${DBPROXY_RELEASE_URL:-$from} sh "$tree/install.sh" --update
  elif [ -f "$from/install.sh" ]; then
    sh "$from/install.sh" --update
  else
    fail "the checkout this was installed from is gone ($from); set DBPROXY_RELEASE_URL to where releases are"
  fi
}

main() {
  [ -n "${HOME-}" ] || fail 'HOME is not set'
  staged=''
  work=$(mktemp -d "${TMPDIR:-/tmp}/claude-db-proxy.XXXXXX")
  trap 'finish $?' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  case ${1-} in
    install | update) install "$@" ;;
    proxy-update) proxy_update ;;
    uninstall) uninstall "${2-}" ;;
    *) fail "main.sh: no such thing as ${1-nothing}" ;;
  esac
}

main "$@"
