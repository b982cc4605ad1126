# shellcheck shell=sh
# Removing everything that was ever made, and nothing else. Sourced by main.sh.

# The program's files. What is running has been read already.
remove_files() {
  rm -rf "$app" "$base/backup"
  rm -f "$record" "$data_dir/install.json"
  if [ -f "$command_file" ] && grep -q 'claude-db-proxy: the installed command' "$command_file" 2>/dev/null; then
    rm -f "$command_file"
  fi
}

# What the proxy keeps; by name, because the directory may be one that holds other things too.
remove_data() {
  rm -rf "$data_dir/certs" "$data_dir/state" "$data_dir/logs"
  rm -f "$data_dir/token" "$data_dir/runtime.json" "$data_dir/runtime.json".*.tmp "$data_dir/install.json".*.tmp
}

# remove_made PATHS: directories that we made and that nobody has put anything into, the inner ones first.
remove_made() {
  printf '%s\n' "$1" | sed -n '1!G;h;$p' | while IFS= read -r made_path; do
    if [ -n "$made_path" ] && [ -d "$made_path" ] && [ ! -L "$made_path" ]; then
      rmdir -- "$made_path" 2>/dev/null || true
    fi
  done
}

# Containers of this data directory, whatever started them.
remove_containers() {
  for container in $("$1" ps --all --quiet --filter "label=claude-db-proxy.data-dir=$data_dir" 2>/dev/null </dev/null); do
    "$1" stop -t 10 "$container" >/dev/null 2>&1 </dev/null || true
    "$1" rm --force "$container" >/dev/null 2>&1 </dev/null || true
  done
}

# uninstall [--keep-data]
uninstall() {
  case ${1-} in
    '' | --keep-data) ;;
    *) fail "unknown option $1; usage: claude-db-proxy uninstall [--keep-data]" ;;
  esac
  [ -f "$record" ] || [ -e "$app" ] || fail 'nothing is installed here'
  staged=''
  recorded_dir=$(recorded dataDir)
  [ -n "${DBPROXY_DATA_DIR-}" ] || data_dir=${recorded_dir:-$data_dir}
  runtime=$(recorded runtime)
  image=$(recorded image)
  node=$(readlink "$app/current/node" 2>/dev/null || true)
  [ -x "$node" ] || node=$(find_node)
  case $runtime in
    docker | podman) engine=$runtime ;;
    *) engine='' ;;
  esac
  made=$(recorded_list made)
  images=$(recorded_list images)
  step 'Stopping the proxy …'
  sh "$app/current/cli/posix/launcher/claude-db-proxy.sh" stop >/dev/null 2>&1 </dev/null || true
  for candidate in docker podman; do
    if have "$candidate" && bounded 10 "$candidate" info >/dev/null 2>&1 </dev/null; then remove_containers "$candidate"; fi
  done
  step 'Restoring the status line …'
  restore_status_line
  if [ -n "$engine" ]; then
    step 'Removing the image …'
    remove_images "$images" "$engine"
  fi
  remove_files
  [ -n "${1-}" ] || remove_data
  remove_made "$made"
  if [ -n "${1-}" ]; then
    say "claude-db-proxy is removed; its certificates, state and logs are still in $data_dir."
  else
    say 'claude-db-proxy is removed.'
  fi
  say 'If you made an alias for claude, remove that too.'
}
