# shellcheck shell=sh
# Our status line in Claude Code's settings.json: put in at an install, taken out at an uninstall. What is written there is
# decided by cli/status-line/settings-filter.ts, which runs with Node or, without Node, in our container. Sourced by main.sh.

settings=${CLAUDE_CONFIG_DIR:-$HOME/.claude}/settings.json
backup=$base/backup/settings.json
# As we left it: while the file still is this, the backup is what the user had.
ours=$base/backup/settings.json.ours

# filter TREE before | add COMMAND | remove BEFORE: stdin to stdout. 3: to be left alone, with the reason on stderr.
filter() {
  filter_tree=$1
  shift
  if [ -n "$node" ]; then
    "$node" "$filter_tree/dist/cli/status-line/settings-filter.js" "$@"
  elif [ -n "$engine" ] && [ -n "$image" ]; then
    "$engine" run --rm --interactive --network none --read-only --cap-drop ALL --entrypoint node "$image" \
      /app/dist/cli/status-line/settings-filter.js "$@"
  else
    echo 'neither Node nor a container is here to edit it with' >&2
    return 3
  fi
}

# The file that a chain of symbolic links ends at: people keep their settings elsewhere.
link_end() (
  end=$1
  while [ -L "$end" ]; do
    next=$(readlink "$end")
    case $next in
      /*) end=$next ;;
      *) end=$(dirname -- "$end")/$next ;;
    esac
  done
  printf '%s\n' "$end"
)

# replace_file NEW FILE: FILE gets what is in NEW, whole or not at all, and keeps its mode and the link that leads to it.
replace_file() {
  replaced=$(link_end "$2")
  [ ! -e "$replaced" ] || cp -p "$replaced" "$replaced.new.$$" || return 1
  if ! cat "$1" >"$replaced.new.$$" || ! mv -f "$replaced.new.$$" "$replaced"; then
    rm -f "$replaced.new.$$"
    return 1
  fi
} 2>/dev/null

status_line_command() {
  case $command_file in
    *[!A-Za-z0-9_/.+-]*) printf "'%s' statusline\n" "$(printf '%s' "$command_file" | sed "s/'/'\\\\''/g")" ;;
    *) printf '%s statusline\n' "$command_file" ;;
  esac
}

status_line_not_set() {
  warn "$settings was left as it is: $1. The status line is not set up; the rest works without."
}

# Sets $status_line_before and $settings_changed for the record.
configure_status_line() {
  status_line_before=$(recorded_json statusLineBefore)
  status_line_before=${status_line_before:-null}
  settings_changed=$(recorded settings)
  [ -f "$settings" ] && cat "$settings" >"$work/settings" 2>/dev/null || : >"$work/settings"
  if [ -e "$settings" ] && [ ! -r "$settings" ]; then
    status_line_not_set 'it cannot be read'
    return 0
  fi
  if ! found_before=$(filter "$app/$installed" before <"$work/settings" 2>"$work/log") ||
    ! filter "$app/$installed" add "$(status_line_command)" <"$work/settings" >"$work/settings.new" 2>"$work/log"; then
    status_line_not_set "$(tail -n 1 "$work/log")"
    return 0
  fi
  if cmp -s "$work/settings" "$work/settings.new"; then
    return 0
  fi
  need_directory "$(dirname -- "$backup")" 700
  rm -f "$backup"
  [ ! -f "$settings" ] || cp -p "$settings" "$backup"
  if ! make_directory "$(dirname -- "$settings")" || ! replace_file "$work/settings.new" "$settings"; then
    status_line_not_set 'it cannot be written'
    return 0
  fi
  cp "$work/settings.new" "$ours"
  status_line_before=$found_before
  settings_changed=$settings
}

# Puts back what was there before: byte for byte where nobody has changed it since, else without our part only.
restore_status_line() {
  changed=$(recorded settings)
  if [ -z "$changed" ] || [ ! -f "$changed" ]; then return 0; fi
  if cmp -s "$changed" "$ours"; then
    if [ -f "$backup" ]; then
      restored=$(link_end "$changed")
      cp -p "$backup" "$restored.new.$$" && mv -f "$restored.new.$$" "$restored"
    else
      rm -f "$changed"
    fi
  elif filter "$app/current" remove "$(recorded_json statusLineBefore)" <"$changed" >"$work/settings" 2>"$work/log"; then
    cmp -s "$work/settings" "$changed" || replace_file "$work/settings" "$changed"
  else
    false
  fi || warn "take the statusLine of claude-db-proxy out of $changed yourself: $(tail -n 1 "$work/log" 2>/dev/null)"
}
