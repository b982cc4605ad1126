# shellcheck shell=sh
# Installing, and updating, which is installing over what is there: the new version is complete before anything points to
# it, and what was there comes back if the new one does not become healthy. Sourced by main.sh.

# Set while something is under way that has to be undone when we end too early.
undo=''

# The end, in any way. $1: the exit code.
finish() {
  trap - EXIT
  [ "$1" -eq 0 ] || [ -z "$undo" ] || "$undo" || true
  rm -rf "$work" ${staged:+"$staged"}
  exit "$1"
}

# A first install that failed leaves nothing behind.
undo_install() {
  sh "$app/$installed/cli/posix/launcher/claude-db-proxy.sh" stop >/dev/null 2>&1 </dev/null || true
  restore_status_line
  [ -z "$engine" ] || remove_images "$images" "$engine"
  remove_files
  remove_data
  remove_made "$made"
}

# An update that failed puts back what was there, if that was touched already.
undo_update() {
  if [ -n "$switched" ]; then
    warn "going back to $(version_of "$app/$before")"
    sh "$app/current/cli/posix/launcher/claude-db-proxy.sh" stop >/dev/null 2>&1 </dev/null || true
    replace_link "$before" "$app/current"
    mv -f "$work/install.json" "$record"
    [ "$data_dir" = "$base" ] || cp -p "$record" "$data_dir/install.json"
    [ -z "$engine" ] || put_image_back "$engine"
    sh "$app/current/cli/posix/launcher/claude-db-proxy.sh" start </dev/null ||
      warn 'the version before does not start either; see: claude-db-proxy proxy-doctor'
  fi
  if [ -n "$installed" ] && [ "$installed" != "$before" ]; then rm -rf "$app/${installed:?}"; fi
}

# The engines to try, in order; nothing for Node alone.
engines_for() {
  case $1 in
    docker | podman) echo "$1" ;;
    node) ;;
    auto) echo 'docker podman' ;;
    *) fail "DBPROXY_RUNTIME=$1 cannot be used: auto, docker, podman or node" ;;
  esac
}

# Sets $runtime, $engine and $image: the first engine that really runs a container of ours, else Node.
choose_runtime() {
  for candidate in $engines; do
    engine_answers "$candidate" || continue
    image=$(image_name "$tree_version")
    if [ -n "$unchanged" ] && [ "$(recorded runtime)" = "$candidate" ] && [ -n "$(image_id "$candidate" "$image")" ]; then
      runtime=$candidate
    elif make_image "$candidate" "$app/$installed" "$tree_version"; then
      runtime=$candidate
    else
      no_engine "$candidate" 'cannot build or run the image (see above)'
      put_image_back "$candidate"
      continue
    fi
    engine=$candidate
    return 0
  done
  image=''
  if [ -n "$node" ] && { [ "$wanted" = auto ] || [ "$wanted" = node ]; }; then
    runtime=node
    return 0
  fi
  no_runtime
}

no_runtime() {
  [ "$wanted" = auto ] || fail "DBPROXY_RUNTIME=$wanted cannot be used here: ${engine_faults#*: }"
  printf '%s\n' "$engine_faults" | sed 's/^/    /' >&2
  fail 'neither a container engine nor Node 20.19 or later was found; install Docker, Podman or Node and run this again'
}

# What a look at the machine says before anything is made.
look_around() {
  check_writable "$bin"
  check_writable "$base"
  check_writable "$data_dir"
  case $data_dir in
    /*) ;;
    *) fail "DBPROXY_DATA_DIR=$data_dir cannot be used: it has to be an absolute path" ;;
  esac
  wanted=${DBPROXY_RUNTIME:-auto}
  # An update stays with what was found once.
  if [ "$verb" = update ] && [ "$wanted" = auto ]; then wanted=$(recorded runtime); fi
  engines=$(engines_for "${wanted:-auto}")
  network=$(engine_network)
  node=$(find_node)
  if [ "$wanted" = node ] && [ -z "$node" ]; then
    fail 'DBPROXY_RUNTIME=node cannot be used: there is no Node 20.19 or later'
  fi
  case $wanted in
    docker | podman) engine_answers "$wanted" || no_runtime ;;
  esac
  check_command
}

# Started by the version that was put in place: healthy, or not there.
start_proxy() {
  step 'Starting the proxy …'
  sh "$app/current/cli/posix/launcher/claude-db-proxy.sh" start </dev/null
}

# install install|update checkout|release FROM
install() {
  verb=$1 source_kind=$2 source_from=$3
  installed='' images=$(recorded_list images) made=$(recorded_list made)
  before=$(readlink "$app/current" 2>/dev/null || true)
  [ -z "$before" ] || [ -f "$record" ] || before=''
  look_around
  runtime='' engine='' image='' image_made='' switched=''
  if [ -n "$before" ]; then
    cp -p "$record" "$work/install.json"
    undo=undo_update
  else
    undo=undo_install
  fi
  need_directory "$base" 700
  need_directory "$data_dir" 700
  install_tree "$tree" "$source_kind"
  choose_runtime
  if [ -n "$before" ]; then
    switched=1
    # Gone before the new one comes, so that it comes from what is new.
    [ "$installed" = "$before" ] || sh "$app/$before/cli/posix/launcher/claude-db-proxy.sh" stop >/dev/null 2>&1 || true
  fi
  replace_link "$installed" "$app/current"
  write_command
  configure_status_line
  write_record
  if ! start_proxy; then
    fail "the proxy did not become healthy${before:+ after the update}"
  fi
  undo=''
  [ -z "$engine" ] || "$engine" image rm "$(image_name previous)" >/dev/null 2>&1 </dev/null || true
  remove_old_versions "$before"
  tell_result
}

tell_result() {
  if [ -n "$unchanged" ]; then
    say "${bold}claude-db-proxy $tree_version${plain} is up to date (runtime: $runtime)."
  else
    say "${bold}claude-db-proxy $tree_version${plain} is installed (runtime: $runtime)."
  fi
  [ "$verb" = install ] || return 0
  case :$PATH: in
    *:"$bin":*) shown=claude-db-proxy ;;
    *) shown=$command_file ;;
  esac
  case ${SHELL-} in
    */fish) say "Now, once:  ${bold}alias --save claude='$shown'${plain}" ;;
    */zsh) say "Now, once:  ${bold}echo \"alias claude='$shown'\" >> ~/.zshrc${plain}   and open a new shell" ;;
    */bash) say "Now, once:  ${bold}echo \"alias claude='$shown'\" >> ~/.bashrc${plain}   and open a new shell" ;;
    *) say "Now, once, in the file that your shell reads at its start:  ${bold}alias claude='$shown'${plain}" ;;
  esac
  say "To remove it all: $shown uninstall"
}
