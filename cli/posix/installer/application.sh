# shellcheck shell=sh
# The program's files: app/<version>, complete before anything points to it. Sourced by main.sh.

app=$base/app

# What a version is made of, of a checkout or an unpacked release.
copy_sources() {
  (cd "$1" && tar -cf - \
    --exclude ./.git --exclude ./.ci --exclude ./node_modules --exclude ./coverage --exclude ./test --exclude ./docs \
    --exclude ./dist --exclude './*.tgz' --exclude ./.env .) | (cd "$2" && tar -xf -)
  # A release brings what it was built to; a checkout's may be older than its sources.
  if [ "$3" = release ] && [ -d "$1/dist" ]; then cp -R "$1/dist" "$2/dist"; fi
}

# One line that changes whenever a source does.
fingerprint() {
  (cd "$1" && find . -name node_modules -prune -o -path ./dist -prune -o -type f ! -name .fingerprint ! -path ./node -print |
    LC_ALL=C sort | while IFS= read -r file; do cksum "$file"; done | cksum)
}

# npm with nothing of it left in the HOME: no cache, no logs, no notes about updates.
run_npm() (
  cd "$1" || exit 1
  shift
  PATH=$(dirname -- "$node"):$PATH
  export PATH npm_config_cache="${npm_config_cache:-$work/npm}" npm_config_update_notifier=false
  npm "$@" --no-audit --no-fund
)

# Leaves of the packages those that are not in the bundle (esbuild.config.mjs, external): libsql, and what it needs.
keep_needed_packages() (
  cd "$1/node_modules" || exit 1
  for package in .[!.]* *; do
    case $package in
      libsql | @libsql | @neon-rs | detect-libc) ;;
      *) rm -rf "$package" ;;
    esac
  done
)

# Makes the Node program in a staged tree. It is needed wherever there is Node: the launcher is part of it.
build_program() {
  have npm || fail 'Node is here, but npm is not; install npm, or Node with npm'
  if [ ! -f "$1/dist/cli/main.js" ]; then
    quietly 'Installing what is needed to build' run_npm "$1" ci || fail "npm could not install the packages: see above"
    quietly 'Building' run_npm "$1" run build || fail 'the build failed: see above'
  else
    quietly 'Installing packages' run_npm "$1" ci --omit=dev || fail 'npm could not install the packages: see above'
  fi
  keep_needed_packages "$1"
  ln -s "$node" "$1/node"
}

# Puts a tree into app/, complete, and says where in $installed; $unchanged is 1 when it was there already.
# install_tree SOURCE checkout|release
install_tree() {
  tree_version=$(version_of "$1")
  tree_fingerprint=$(fingerprint_of_sources "$1" "$2")
  unchanged=''
  current=$(readlink "$app/current" 2>/dev/null || true)
  if [ -n "$current" ] && [ "$(cat "$app/$current/.fingerprint" 2>/dev/null)" = "$tree_fingerprint" ] &&
    { [ -z "$node" ] || [ "$(readlink "$app/$current/node" 2>/dev/null)" = "$node" ]; }; then
    installed=$current
    unchanged=1
    return 0
  fi
  need_directory "$app"
  staged=$app/.staged.$$
  mkdir "$staged"
  copy_sources "$1" "$staged" "$2"
  [ -z "$node" ] || build_program "$staged"
  printf '%s\n' "$tree_fingerprint" >"$staged/.fingerprint"
  installed=$tree_version
  tree_number=2
  while [ -e "$app/$installed" ]; do
    installed=$tree_version-$tree_number
    tree_number=$((tree_number + 1))
  done
  mv "$staged" "$app/$installed"
}

# The fingerprint of what copy_sources would copy.
fingerprint_of_sources() {
  mkdir "$work/sources"
  copy_sources "$1" "$work/sources" "$2"
  printf '%s %s' "$(version_of "$1")" "$(fingerprint "$work/sources")"
  rm -rf "$work/sources"
}

# Versions that are neither the one that counts nor the one before ($1, or empty).
remove_old_versions() {
  for old in "$app"/*; do
    case ${old##*/} in
      current | "$installed" | "${1:-$installed}") ;;
      *) rm -rf "$old" ;;
    esac
  done
}

# A file of that name that we did not make is not ours to replace.
check_command() {
  if [ -e "$command_file" ] && ! grep -q 'claude-db-proxy: the installed command' "$command_file" 2>/dev/null; then
    fail "$command_file is there already and not ours; move it away and run this again"
  fi
}

# The command in HOME/.local/bin.
write_command() {
  need_directory "$bin"
  remember "$command_file"
  quoted=$(printf '%s' "$app/current/cli/posix/launcher/claude-db-proxy.sh" | sed "s/'/'\\\\''/g")
  {
    printf '%s\n' '#!/bin/sh' '# claude-db-proxy: the installed command. Made by its installer, removed by `claude-db-proxy uninstall`.'
    printf "launcher='%s'\n" "$quoted"
    # shellcheck disable=SC2016 # the stub expands it
    printf '%s\n' '[ -r "$launcher" ] && exec sh "$launcher" "$@"' \
      "printf 'claude-db-proxy: %s is missing; install it again. claude runs without it.\\n' \"\$launcher\" >&2" \
      'exec claude "$@"'
  } >"$command_file.new.$$"
  chmod 755 "$command_file.new.$$"
  mv -f "$command_file.new.$$" "$command_file"
}
