#!/bin/sh
# Makes a release of this tree:  sh cli/posix/installer/make-release.sh DIRECTORY [ADDRESS]
#
#   DIRECTORY/claude-db-proxy.tar.gz, .sha256    sources, and what they were built to
#   DIRECTORY/install.sh                         knows ADDRESS, where these files will be published
#
# Puts the directory's contents behind https://…; DBPROXY_RELEASE_URL, or ADDRESS, is that directory.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../../.." && pwd -P)
[ $# -ge 1 ] || {
  echo 'usage: sh cli/posix/installer/make-release.sh DIRECTORY [ADDRESS]' >&2
  exit 64
}
mkdir -p "$1"
out=$(CDPATH='' cd -- "$1" && pwd -P)
address=${2-}
version=$(sed -n 's/^  "version": "\([^"]*\)".*$/\1/p' "$root/package.json")
[ -f "$root/dist/cli/main.js" ] || {
  echo 'there is no dist/ here: npm run build' >&2
  exit 1
}

work=$(mktemp -d "${TMPDIR:-/tmp}/claude-db-proxy.XXXXXX")
trap 'rm -rf "$work"' EXIT
tree=$work/claude-db-proxy-$version
mkdir "$tree"
# shellcheck source=cli/posix/installer/application.sh
base=$work . "$root/cli/posix/installer/application.sh"
copy_sources "$root" "$tree" release
find "$tree/dist" -name '*.map' -exec rm -f {} +

sed "s|^default_release_url=.*|default_release_url='$address'|" "$root/install.sh" >"$out/install.sh"
cp "$out/install.sh" "$tree/install.sh"
# The same bytes for the same tree: sorted, of nobody, of one time.
(cd "$work" && find "claude-db-proxy-$version" ! -type d | LC_ALL=C sort >"$work/files" &&
  tar -cf - --owner=0 --group=0 --numeric-owner --mtime='2020-01-01 00:00Z' -T "$work/files") | gzip -n -9 >"$out/claude-db-proxy.tar.gz"
cd "$out"
if command -v sha256sum >/dev/null 2>&1; then
  sha256sum claude-db-proxy.tar.gz >claude-db-proxy.tar.gz.sha256
else
  shasum -a 256 claude-db-proxy.tar.gz >claude-db-proxy.tar.gz.sha256
fi
printf '%s: version %s, %s bytes\n' "$out/claude-db-proxy.tar.gz" "$version" "$(wc -c <claude-db-proxy.tar.gz | tr -d ' ')"
