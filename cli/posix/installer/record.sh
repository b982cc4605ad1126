# shellcheck shell=sh
# install.json: what was found and made (cli/installation.ts, InstallRecord). Written whole or not at all. Sourced by main.sh.
#
# Beside what the program reads, it holds what only the installer needs: `images`, `settings`.

json_or_null() {
  if [ -n "$1" ]; then json_string "$1"; else printf 'null'; fi
}

write_record() {
  if [ -n "$settings_changed" ]; then
    if [ -f "$backup" ]; then record_backup=$(json_string "$backup"); else record_backup=null; fi
    record_changes=$(printf '[\n    {\n      "path": %s,\n      "backup": %s\n    }\n  ]' "$(json_string "$settings_changed")" "$record_backup")
  else
    record_changes='[]'
  fi
  cat >"$record.new.$$" <<RECORD
{
  "version": $(json_string "$(version_of "$app/$installed")"),
  "source": $(json_string "$source_kind"),
  "from": $(json_string "$source_from"),
  "installedAt": $(json_string "$(date -u +%Y-%m-%dT%H:%M:%SZ)"),
  "runtime": $(json_string "$runtime"),
  "image": $(json_or_null "$image"),
  "network": $(json_string "$network"),
  "made": $(printf '%s\n' "$made" | json_list),
  "changes": $record_changes,
  "statusLineBefore": $status_line_before,
  "settings": $(json_or_null "$settings_changed"),
  "dataDir": $(json_string "$data_dir"),
  "images": $(printf '%s\n' "$images" | sort -u | json_list)
}
RECORD
  chmod 600 "$record.new.$$"
  mv -f "$record.new.$$" "$record"
  # The program looks for it in the data directory.
  if [ "$data_dir" != "$base" ]; then
    cp -p "$record" "$data_dir/install.json.new.$$" && mv -f "$data_dir/install.json.new.$$" "$data_dir/install.json"
  fi
}
