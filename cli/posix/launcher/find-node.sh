# shellcheck shell=sh
# find_node: the path of a Node that is new enough (20.19 or later), else nothing. Sourced by the launcher and the installer.

find_node() {
  node_found=$(command -v node 2>/dev/null) || return 0
  case $node_found in
    /*) ;;
    *) return 0 ;;
  esac
  node_version=$("$node_found" -p process.versions.node 2>/dev/null) || return 0
  node_major=${node_version%%.*}
  node_minor=${node_version#*.}
  node_minor=${node_minor%%.*}
  if [ "$node_major" -gt 20 ] || { [ "$node_major" -eq 20 ] && [ "$node_minor" -ge 19 ]; }; then
    # Where it really is: version managers put it into PATH under names that come and go.
    "$node_found" -p process.execPath
  fi
}
