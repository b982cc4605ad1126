#!/bin/sh
# Installs claude-db-proxy:  sh install.sh   from a checkout, or   curl -fsSL <address>/install.sh | sh
#
# From a checkout it installs that checkout; otherwise the release at DBPROXY_RELEASE_URL, whose checksum it verifies.
# This file only fetches; what installs is cli/posix/installer/main.sh of what was fetched. No root, ever.
# Everything is in functions and the last line calls them, so that nothing runs from half a download.
#
#   --update    for `claude-db-proxy proxy-update`: go back to what was there if the new version does not become healthy
set -eu

# Where releases are; cli/posix/installer/make-release.sh writes the address into the copy that it publishes.
default_release_url=''
archive=claude-db-proxy.tar.gz

fail() {
  printf 'claude-db-proxy: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# The directory of this script when it is part of a checkout or an unpacked release; nothing when it came through a pipe.
own_directory() {
  case $0 in
    install.sh | */install.sh) ;;
    *) return 0 ;;
  esac
  own=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || return 0
  if [ -f "$own/cli/posix/installer/main.sh" ] && grep -q '"name": "claude-db-proxy"' "$own/package.json" 2>/dev/null; then
    printf '%s\n' "$own"
  fi
}

# A checksum protects from damage; against somebody on the way only https does.
check_address() {
  case $1 in
    https://* | http://127.0.0.1:* | http://localhost:*) ;;
    *) fail "DBPROXY_RELEASE_URL=$1 cannot be used: it has to begin with https://" ;;
  esac
}

# fetch URL FILE
fetch() {
  if have curl; then
    curl --fail --silent --show-error --location --retry 2 --connect-timeout 20 --output "$2" "$1" 2>"$work/fetch.log"
  elif have wget; then
    wget -q -O "$2" "$1" 2>"$work/fetch.log"
  else
    fail 'neither curl nor wget is here to download with; install one of them'
  fi || fail "cannot download $1: $(tail -n 1 "$work/fetch.log")"
}

sha256_of() {
  if have sha256sum; then
    sha256sum "$1"
  elif have shasum; then
    shasum -a 256 "$1"
  elif have openssl; then
    openssl dgst -sha256 -r "$1"
  else
    fail 'neither sha256sum, shasum nor openssl is here to verify the download with; install one of them'
  fi | cut -d ' ' -f 1
}

# Downloads, verifies and unpacks the release into $work/tree.
fetch_release() {
  check_address "$1"
  printf 'Downloading %s/%s …\n' "$1" "$archive"
  fetch "$1/$archive" "$work/$archive"
  fetch "$1/$archive.sha256" "$work/$archive.sha256"
  expected=$(cut -d ' ' -f 1 <"$work/$archive.sha256")
  found=$(sha256_of "$work/$archive")
  if [ -z "$found" ] || [ "$expected" != "$found" ]; then
    fail "$1/$archive is damaged: its checksum is $found, not $expected; nothing was installed"
  fi
  mkdir "$work/tree"
  tar -xzf "$work/$archive" -C "$work/tree" --strip-components 1 2>/dev/null || fail "$1/$archive cannot be unpacked"
  [ -f "$work/tree/cli/posix/installer/main.sh" ] || fail "$1/$archive is no release of claude-db-proxy"
}

main() {
  verb=install
  case ${1-} in
    '') ;;
    --update) verb=update ;;
    *) fail "unknown option $1; usage: sh install.sh [--update]" ;;
  esac
  [ -n "${HOME-}" ] || fail 'HOME is not set'
  own=$(own_directory)
  if [ -n "$own" ] && [ -z "${DBPROXY_RELEASE_URL-}" ]; then
    exec sh "$own/cli/posix/installer/main.sh" "$verb" checkout "$own"
  fi
  url=${DBPROXY_RELEASE_URL:-$default_release_url}
  [ -n "$url" ] || fail 'this is no checkout, and DBPROXY_RELEASE_URL does not say where releases are'
  work=$(mktemp -d "${TMPDIR:-/tmp}/claude-db-proxy.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  fetch_release "${url%/}"
  # The script may itself be coming through stdin: nobody below is to read it.
  sh "$work/tree/cli/posix/installer/main.sh" "$verb" release "${url%/}" </dev/null
}

main "$@"
