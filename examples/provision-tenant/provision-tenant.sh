#!/usr/bin/env bash
#
# provision tenant: 4 steps recorded in provision-tenant.har.
#
# Needs bash, curl and jq (1.6 or later). Takes from the environment:
#
#   DF_BASE_URL       the instance to run against, e.g. https://df.example.com
#   DF_EMAIL          the account that logs in
#   DF_PASSWORD       the password of that account (secret)
#   DF_SESSION_TOKEN  a session token to use instead of logging in (secret, optional)
#   DF_TENANT         takes the place of acme (default: acme)
#   DF_TEARDOWN       1: delete what earlier runs created instead (or --teardown)
#   DF_CREATED        the file that notes what runs create (default: provision_tenant.created.jsonl)
#
# Run it:  bash SCRIPT      Show this:  bash SCRIPT --help
# Undo what earlier runs did, and only that:  bash SCRIPT --teardown
# Exit codes: 0 done, 1 a step failed, 2 something to set is missing or wrong (nothing was sent).
#
# What dfrecord noticed in the recording:
#   left out, 1x: id (made by the server) (create_service)
#   left out, 1x: id, role_service_access_by_role_id[].id (made by the server) (create_role)
#   left out, 1x: role_service_access_by_role_id[].role_id (the row's own parent, filled in by the server) (create_role)
#   dropped, 1x: console noise: the console asks for its support chat setting
#   dropped, 3x: console noise: the console's dashboard counts records
#   dropped, 12x: read that no later step needs

set -euo pipefail
LC_ALL=C # texts are bytes here, whatever the user's language

# 1. Log in as an administrator
log_in() {
  note 'Log in as an administrator'
  local json
  json=$(jq -nc \
    --arg email "$DF_EMAIL" \
    '{"password": $ENV.DF_PASSWORD, "email": $email}')
  send with_json POST '/api/v2/system/admin/session' \
    'Accept: application/json' \
    'Content-Type: application/json'
  DF_SESSION_TOKEN=$(capture string '.session_token')
  export DF_SESSION_TOKEN # jq reads secrets from its environment, not from its arguments
}

# 2. Create service tenant_acme_files
# left out: id (made by the server)
create_service() {
  step=$(readable "Create service tenant_${DF_TENANT}_files")
  local makes='/api/v2/system/service'
  local document
  document=$(jq -nc \
    --arg tenant "$DF_TENANT" \
    --arg tenant_upper "$tenant_upper" \
    '{
      "keys": [{"name": "tenant_\($tenant)_files"}],
      "record": {
        "type": "local_file",
        "name": "tenant_\($tenant)_files",
        "label": "\($tenant_upper) files",
        "description": "File store of tenant \($tenant_upper)",
        "is_active": true,
        "storage_service_id": null,
        "config": {"public_path": null, "container": "uploads/", "excel_content": ""}
      },
      "later": [],
      "rows": {},
      "needs": ["description"],
      "shaped": {"config": "type"},
      "undo": {"hidden": [], "merged": ["config"], "foreign": {}}
    }')
  ensure POST '/api/v2/system/service' \
    'Accept: application/json' \
    "X-DreamFactory-Session-Token: $DF_SESSION_TOKEN"
  service_id=$(capture integer '.id')
}

# 3. Create role acme-role
# left out: id, role_service_access_by_role_id[].id (made by the server)
# left out: role_service_access_by_role_id[].role_id (the row's own parent, filled in by the server)
create_role() {
  step=$(readable "Create role $DF_TENANT-role")
  local makes='/api/v2/system/role'
  local document
  document=$(jq -nc \
    --arg tenant "$DF_TENANT" \
    --arg tenant_upper "$tenant_upper" \
    --argjson service_id "$service_id" \
    '{
      "keys": [{"name": "\($tenant)-role"}],
      "record": {
        "name": "\($tenant)-role",
        "description": "Role of tenant \($tenant_upper)",
        "is_active": true
      },
      "later": [],
      "rows": {
        "role_service_access_by_role_id": {
          "id": "id",
          "parent": "role_id",
          "may_differ": ["verb_mask", "filters"],
          "rows": [
            {
              "keys": [
                {
                  "service_id": $service_id,
                  "component": "*",
                  "requestor_mask": 1,
                  "verb_mask": 3,
                  "filters": []
                }
              ],
              "row": {
                "service_id": $service_id,
                "component": "*",
                "verb_mask": 3,
                "requestor_mask": 1,
                "filters": []
              }
            }
          ]
        }
      },
      "undo": {"hidden": [], "merged": [], "foreign": {}}
    }')
  ensure POST '/api/v2/system/role?fields=*&related=role_service_access_by_role_id,lookup_by_role_id' \
    'Accept: application/json' \
    "X-DreamFactory-Session-Token: $DF_SESSION_TOKEN"
  role_id=$(capture integer '.id')
}

# 4. Create app acme-app
create_app() {
  step=$(readable "Create app $DF_TENANT-app")
  local makes='/api/v2/system/app'
  local document
  document=$(jq -nc \
    --arg tenant "$DF_TENANT" \
    --arg tenant_upper "$tenant_upper" \
    --argjson role_id "$role_id" \
    '{
      "keys": [{"name": "\($tenant)-app"}],
      "record": {
        "name": "\($tenant)-app",
        "description": "App of tenant \($tenant_upper)",
        "type": "0",
        "role_id": $role_id,
        "is_active": true,
        "url": null,
        "storage_service_id": null,
        "storage_container": null,
        "path": null
      },
      "later": [],
      "rows": {},
      "undo": {"hidden": [], "merged": [], "foreign": {}}
    }')
  ensure POST '/api/v2/system/app?fields=*&related=role_by_role_id' \
    'Accept: application/json' \
    "X-DreamFactory-Session-Token: $DF_SESSION_TOKEN"
  app_api_key=$(capture string '.api_key')
  export app_api_key # jq reads secrets from its environment, not from its arguments
  app_id=$(capture digits '.id')
}

main() {
  check_environment "$@"
  if [ "${DF_TEARDOWN:-}" = 1 ]; then
    tear_down
    exit 0
  fi
  if [ -z "$given_token" ]; then log_in; fi
  create_service
  create_role
  create_app
  summary
  printf '%s=%q\n' service_id "$service_id"
  printf '%s=%q\n' role_id "$role_id"
  printf '%s=%q\n' app_id "$app_id"
}

# tear_down: undoes what runs with the same parameters noted on this instance and nothing else, the newest first.
tear_down() {
  local note path key json hits anew
  if [ -z "$given_token" ]; then log_in; fi
  anew=$(made_here | jq --compact-output .anew)
  while IFS= read -r note; do
    path=$(printf '%s' "$note" | jq --raw-output .path)
    key=$(printf '%s' "$note" | jq --compact-output '.key // empty')
    case $(printf '%s' "$note" | jq --raw-output 'if has("changed") then "changed" elif has("removing") then "removed" else "" end') in
      changed) put_back ;;
      removed) make_anew ;;
      *) delete_noted ;;
    esac
  done < <(made_here | jq --compact-output --argjson made_for "$made_for" '.notes | reverse[] | select(.for == $made_for)')
  made_here | jq --raw-output --argjson made_for "$made_for" '
    .notes | map(select(.for != $made_for)) | group_by(.for)[] | "- left alone: \(length) made with \(
      .[0].for | to_entries | map("\(.key)=\(.value)") | if . == [] then "no parameters" else join(" ") end
    ); give the same to delete them"' >&2 || :
}

# put_back: gives a changed record its old values, where it still has the new ones.
put_back() {
  local related have fields left at
  step="Put back $path"
  at=$(printf '%s' "$anew" | jq --raw-output --arg path "$path" '
    if has($path) then ($path | sub("/[^/]*$"; "")) + "/" + (.[$path] | tostring | @uri) else $path end')
  related=$(printf '%s' "$note" | jq --raw-output '.rows | keys_unsorted | map(@uri) | join(",")')
  fetch without_body GET "$at${related:+?related=$related}" 'Accept: application/json' "X-DreamFactory-Session-Token: $DF_SESSION_TOKEN"
  if [ "$status" = 404 ]; then
    say "- $step: already absent"
    note_undone
    return
  fi
  expect_success
  have=$(record_of_answer)
  json=$(printf '%s\n%s' "$note" "$have" | jq --slurp --compact-output --argjson anew "$anew" '
    def empty_value: . == null or . == "" or . == [] or . == {};
    def plain($other):
      if type == "boolean" or (($other | type) == "boolean" and (tostring | test("^(true|false)$"; "i")))
      then {"true": "1", "false": "0"}[tostring | ascii_downcase] else tostring end;
    def trimmed: if startswith(" ") then .[1:] | trimmed elif endswith(" ") then .[:-1] | trimmed else . end;
    def listed: if type == "array" then . elif type == "string" then split(",") | map(trimmed) else [.] end;
    def differs($have; $later; $place):
      . as $wanted
      | if ($later | index([$place])) or $have == "**********" then false
        elif type == "object" and ($have | type) == "object" then
          any(keys_unsorted[]; . as $field | ($have | has($field)) and ($wanted[$field]
            | differs($have[$field]; $later; if $place == "" then $field else "\($place).\($field)" end)))
        elif empty_value or ($have | empty_value) then empty_value != ($have | empty_value)
        elif type == "array" or ($have | type) == "array" then
          reduce listed[] as $item ({rest: ($have | listed), bad: false};
            [.rest[] | . as $other | $item | differs($other; $later; "\($place)[]") | not] as $same
            | ($same | index(true)) as $at
            | if $at == null then .bad = true else .rest |= del(.[$at]) end)
          | .bad or .rest != []
        else plain($have) != ($have | plain($wanted)) end;
    def unlike($have): # in anything: free JSON is compared as a whole
      if type == "object" and ($have | type) == "object" then
        keys != ($have | keys) or any(keys_unsorted[] as $field | .[$field] | unlike($have[$field]); .)
      elif type == "array" and ($have | type) == "array" then
        length != ($have | length) or any(range(length) as $at | .[$at] | unlike($have[$at]); .)
      else differs($have; []; "") end;
    # {rest, there}: the first of the rest that has one of the keys is there; when only, unless others have it, too.
    def taken($keys; $only):
      .rest as $rest
      | first(($keys[] | . as $key | [range($rest | length) | select(. as $at | $key | differs($rest[$at]; []; "") | not)]
          | select(. != [] and ($only and length > 1 | not)) | .[0]), null) as $at
      | if $at == null then .there = null else .there = $rest[$at] | .rest |= del(.[$at]) end;
    def at($place; change):
      if type == "array" then map(at($place; change))
      elif $place == [] then change
      elif type == "object" and has($place[0]) then .[$place[0]] |= at($place[1:]; change)
      else . end;
    def new_id($lists): . as $id | [$anew[$lists[] | "\(.)/\($id | tostring | @uri)"] | values][0];
    def with_new_ids($foreign): reduce ($foreign // {} | to_entries[]) as {key: $place, value: $lists} (.;
      at($place | split("."); new_id($lists) // .));

    def values_back($was; $now; $have; $whole):
      $was | with_entries(select(.key as $name | .value as $old
        | ($have | has($name)) and $old != $have[$name]
          and ($now[$name] | if $name | IN($whole[]) then unlike($have[$name]) else differs($have[$name]; []; "") end | not)));
    def of($rows; $own; $id): [$rows[] | select($id != null and .[$own] == $id)][0];
    def rows_back($was; $now; $have; $own; $parent):
      [$have[] | select(.[$own] | IN($was[][$own]) | not)] as $added
      | reduce $now[] as $sent ({rest: $added, back: []};
          of($was; $own; $sent[$own]) as $before | of($have; $own; $sent[$own]) as $row
          | if $sent[$own] == null then
              taken([$sent]; false) | if .there and $own != $parent then .back += [{($own): .there[$own], ($parent): null}] else . end
            elif $row == null then
              if ($before | length > 1) and ([$sent | del(.[$own])[]] | all(. == null))
              then .back += [$before | del(.[$own], .[$parent])] else . end
            elif $before and ($sent | differs($row; []; "") | not) then
              ($sent | with_entries(select(.key as $name
                | ($before | has($name)) and ($before[$name] | differs($row[$name]; []; ""))) | .value = $before[.key]))
                as $values
              | if $values == {} then . else .back += [{($own): $row[$own]} + $values] end
            else . end)
      | .back
      | map(select(has($parent))) + (map(select(has($own) and (has($parent) | not))) | reverse) + map(select(has($own) | not));
    def noted_places($note; $have):
      ($note.was | to_entries[]) as {key: $field, value: $was} | $note.now[$field] as $now | $have[$field] as $there
      | if $note.rows | has($field) then
          $note.rows[$field][0] as $own | $now[]
          | {place: $field, was: of($was; $own; .[$own]), now: ., there: of([$there | arrays | .[] | objects]; $own; .[$own])}
          | select(.was and .there)
        elif ($field | IN($note.merged[])) and ($there | type) == "object" then
          $was | keys_unsorted[] | select(in($there))
          | {place: "\($field).\(.)", was: $was[.], now: $now[.], there: $there[.]}
        else select($have | has($field)) | {place: $field, $was, $now, $there} end;
    .[0].foreign as $foreign
    | (.[0] | (.was, .now) |= with_new_ids($foreign)) as $note
    | (reduce ($foreign // {} | to_entries[]) as {key: $place, value: $lists} (.[1];
        at($place | split("."); if new_id($lists) then null else . end))) as $have # what is dead is null
    | [noted_places($note; $have) | .there as $there
        | select(if .place | IN($note.whole // [] | .[]) then (.now | unlike($there)) and (.was | unlike($there))
            else (.now | differs($there; []; "")) and (.was | differs($there; []; "")) end) | .place] as $left
    | reduce ($note.was | to_entries[]) as {key: $field, value: $was} ({};
        $note.now[$field] as $now
        | (if $note.rows | has($field) then
             $note.rows[$field] as [$own, $parent]
             | rows_back($was; $now; [$have[$field] | arrays | .[] | objects]; $own; $parent) as $rows
             | if $rows == [] then {} else {($field): $rows} end
           elif $field | IN($note.merged[]) then
             values_back($was; $now; $have[$field] // {}; []) as $values
             | if $values == {} then {} else {($field): $values} end
           else values_back({($field): $was}; {($field): $now}; $have; $note.whole // []) end) as $back
        | . + $back)
    | if . == {} then . else reduce ($note.needs // [] | .[]) as $field (.; if $have[$field] == null then .[$field] //= "" else . end) end
    | ., ($left | unique | join(", "))')
  left=$(printf '%s' "$json" | jq --slurp --raw-output '.[1] | select(. != "") | "; left as somebody changed it since: " + .')
  json=$(printf '%s' "$json" | jq --slurp --compact-output '.[0]')
  if [ "$json" = '{}' ]; then
    say "- $step: nothing to put back$left"
  else
    send with_json PATCH "$at" 'Content-Type: application/json' 'Accept: application/json' "X-DreamFactory-Session-Token: $DF_SESSION_TOKEN"
    fields=$(printf '%s' "$json" | jq --raw-output 'keys_unsorted | join(", ")')
    say "- $step: as before ($fields)$left"
  fi
  note_undone
}

# make_anew: creates a record that was deleted, unless there is one.
make_anew() {
  local makes='' told='already there' id hits='' place=$path whole='{resource: [.]}'
  step=$(printf '%s' "$key" | jq --raw-output '[.[]][0] | tostring | explode | map(if . < 32 then 32 else . end) | implode')
  step="Make anew $step in $path"
  json=$(with_new_ids .key)
  search "$path" '.resource' 'id' 'Accept: application/json' "X-DreamFactory-Session-Token: $DF_SESSION_TOKEN"
  id=${hits#1=}
  if [ -z "$hits" ]; then
    json=$(with_new_ids .record | jq --compact-output "$whole")
    send with_json POST "$place" 'Content-Type: application/json' 'Accept: application/json' "X-DreamFactory-Session-Token: $DF_SESSION_TOKEN"
    id=$(exact_answer | jq --raw-output '(.resource[0])? // . | .id')
    told='created, with another id'
  fi
  note=$(printf '%s' "$note" | jq --compact-output --arg id "$id" '. + {is: (if .id | type == "number" then $id | tonumber else $id end)}')
  anew=$(printf '%s' "$note" | jq --compact-output --argjson anew "$anew" '
    $anew + if .is == .id then {} else {"\(.path)/\(.id | tostring | @uri)": .is} end')
  say "- $step: $told"
  note_undone
}

# with_new_ids PART: a part of the note, with the ids that records have now which were made anew.
with_new_ids() {
  printf '%s' "$note" | jq --compact-output --argjson anew "$anew" '
    def at($place; change):
      if type == "array" then map(at($place; change))
      elif $place == [] then change
      elif type == "object" and has($place[0]) then .[$place[0]] |= at($place[1:]; change)
      else . end;
    def new_id($lists): . as $id | [$anew[$lists[] | "\(.)/\($id | tostring | @uri)"] | values][0];
    def with_new_ids($foreign): reduce ($foreign // {} | to_entries[]) as {key: $place, value: $lists} (.;
      at($place | split("."); new_id($lists) // .));

    .foreign as $foreign | '"$1"' | with_new_ids($foreign)'
}

note_undone() {
  printf '%s' "$note" | jq --compact-output --arg base_url "$DF_BASE_URL" '
    {$base_url, undone: .path} + if has("was") then {now, was} else {key, was: .id, is} end' >>"$DF_CREATED" ||
    die 1 "$DF_CREATED: cannot be written; it does not say that this is undone: $step"
}

# delete_noted: deletes a record that was created, or that may have been: then nobody heard the answer to its create.
delete_noted() {
  if [ -z "$key" ]; then
    delete_made "$path"
    return
  fi
  step="Find $path" json=$key
  search "$path" '.resource' 'id' 'Accept: application/json' "X-DreamFactory-Session-Token: $DF_SESSION_TOKEN"
  if [ -n "$hits" ]; then delete_made "$path/${hits#1=}"; fi
  jq -nc --arg base_url "$DF_BASE_URL" --arg settled "$path" --argjson key "$key" \
    '{$base_url, $settled, $key}' >>"$DF_CREATED" || die 1 "$DF_CREATED: cannot be written"
}

delete_made() {
  step="Delete $1"
  fetch without_body DELETE "$1" 'Accept: application/json' "X-DreamFactory-Session-Token: $DF_SESSION_TOKEN"
  case $status in
    404) say "- $step: already absent" ;;
    *)
      expect_success
      say "- $step: deleted"
      ;;
  esac
  jq -nc --arg base_url "$DF_BASE_URL" --arg deleted "$1" '{$base_url, $deleted}' >>"$DF_CREATED" ||
    die 1 "$DF_CREATED: cannot be written; it does not say that $1 is deleted"
}

# made_here: what is noted as done to this instance and not as undone, in order: each note with its path and its for.
# And what a teardown that has not ended made anew: the path that each record had, and its id now.
made_here() {
  jq --raw-input --null-input --compact-output --arg base "$DF_BASE_URL" '
    reduce (inputs | fromjson? | objects | select(.base_url == $base)) as $note ({notes: {}, anew: {}};
      ([$note["created", "creating", "changed", "removing", "deleted", "settled", "undone"] | values][0]) as $path
      | ([$path, $note.key // [$note.now, $note.was]] | tojson) as $place
      | del(.notes[$place])
      | if $note | has("created") or has("creating") or has("changed") or has("removing")
        then .notes[$place] = $note + {line: input_line_number, $path, for: ($note.for // {})}
        elif $note.is != $note.was and $note.is != null then .anew["\($path)/\($note.was | tostring | @uri)"] = $note.is
        else . end
      | if .notes == {} then .anew = {} else . end)
    | def record: [.for, .created // .changed] | tojson;
      .notes |= ((map(select(.created) | {(record): true}) | add) as $own
        | map(select((.changed and $own[record]) | not)) | sort_by(.line))' "$DF_CREATED"
}

# ---------------------------------------------------------------- how it is done

usage() {
  local line
  while IFS= read -r line && [ -n "$line" ]; do
    case $line in '#!'*) ;; *) printf '%s\n' "${line#\#}" ;; esac
  done <"${BASH_SOURCE[0]}"
}

check_environment() {
  local argument name missing=''
  for argument in "$@"; do
    case $argument in
      --teardown) DF_TEARDOWN=1 ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) die 2 "unknown argument $argument; see --help" ;;
    esac
  done
  for name in curl jq; do
    command -v "$name" >/dev/null || die 2 "$name is needed; install it first"
  done
  given_token=${DF_SESSION_TOKEN:-}
  if [ -n "$given_token" ]; then
    set -- DF_BASE_URL
  else
    set -- DF_BASE_URL DF_EMAIL DF_PASSWORD
  fi
  if [ "${DF_TEARDOWN:-}" = 1 ]; then
    set -- DF_BASE_URL
    if [ -z "$given_token" ]; then set -- DF_BASE_URL DF_EMAIL DF_PASSWORD; fi
  fi
  DF_CREATED=${DF_CREATED:-'provision_tenant.created.jsonl'}
  : 2>/dev/null >>"$DF_CREATED" || die 2 "$DF_CREATED: cannot be written; set DF_CREATED to another file; nothing was sent"
  if [ -f "$DF_CREATED" ] && [ -n "$(tail -c 1 "$DF_CREATED")" ]; then echo >>"$DF_CREATED"; fi # a full disk cut the last note off
  for name in "$@"; do
    if [ -z "${!name:-}" ]; then missing="$missing, $name"; fi
  done
  if [ -n "$missing" ]; then die 2 "set ${missing#, } first; nothing was sent"; fi
  if [ -z "${DF_TENANT:-}" ]; then DF_TENANT='acme'; fi
  # the parameters that this run was given another value for
  made_for=$(jq -nc '[$ARGS.positional | range(0; length; 3) as $at | .[$at:$at + 3] | select(.[1] != .[2])
    | {key: .[0], value: .[1]}] | from_entries' --args -- \
    DF_TENANT "$DF_TENANT" 'acme')
  tenant_upper=$(printf '%s' "$DF_TENANT" | jq --raw-input --slurp --raw-output 'ascii_upcase')
  DF_BASE_URL=${DF_BASE_URL%/}
  case $DF_BASE_URL in
    *[[:cntrl:][:space:]]*) die 2 'DF_BASE_URL must not hold spaces; nothing was sent' ;;
    *[?#@]* | *'/api/v2') die 2 'DF_BASE_URL must be the address of the instance alone, without /api/v2, ?, # or @; nothing was sent' ;;
    http://[!/]* | https://[!/]*) ;;
    *) die 2 'DF_BASE_URL must begin with http:// or https://; nothing was sent' ;;
  esac
  export DF_PASSWORD DF_SESSION_TOKEN # jq reads secrets from its environment, not from its arguments
}

is_digits() { [[ $1 =~ ^-?(0|[1-9][0-9]*)$ ]]; }

# jq 1.6 rounds long numbers: one that goes into a body through jq must stay as it is.
is_integer() {
  is_digits "$1" || return 1
  if [[ $1 =~ [0-9]{16} ]] && [ "$(jq -nc --argjson number "$1" '$number')" != "$1" ]; then
    say "jq would round $1; jq 1.7 and later keep it"
    return 1
  fi
}

is_string() { true; }

# fetch without_body|with_json|with_body METHOD TARGET [HEADER]...: sends a request, sets status and answer.
# The body is the text of the variable json, or what the function body writes. It reaches curl through standard input,
# URL and headers through a file descriptor: what stands in a process's arguments, everybody on the machine can read.
# A server that is too busy to take the request (429) is asked again when it says.
fetch() {
  local pause asked
  for pause in 1 2 4 ''; do
    fetch_once "$@"
    if [[ $asked =~ ^[0-9]{1,9}$ ]]; then asked=$((10#$asked)); else asked=$pause; fi
    if [ "$status" != 429 ] || [ -z "$pause" ] || [ "$asked" -gt 300 ]; then return; fi
    say "  the instance is busy (429): asking again in $asked s"
    sleep "$asked"
  done
}

fetch_once() {
  local content=$1 reply
  shift
  case $* in
    *$'\n'* | *$'\r'*) die 1 "failed: $step: a value with a line break cannot be sent in a header" ;;
  esac
  { # bash would warn here about a NUL in the answer; curl's own messages take the way through descriptor 3
    case $content in
      with_json) reply=$(printf '%s' "$json" | curl --disable --config <(curl_config "$@") --data-binary @- 2>&3 | within) ;;
      *) reply=$(curl --disable --config <(curl_config "$@") 2>&3 </dev/null | within) ;;
    esac || die 1 "failed: $step: no answer from $DF_BASE_URL" 2>&3
  } 3>&2 2>/dev/null
  status=${reply##*$'\n'}
  reply=${reply%$'\n'*}
  asked=${reply##*$'\n'}
  answer=${reply%$'\n'*}
  # some instances wrap no lists; those that they read stay as they are, for a value may be one
  if [ "$1" != GET ] && [ "${answer:0:1}" = '[' ]; then answer="{\"resource\":$answer}"; fi
}

# within: an answer and its status, of at most 64 MB; curl itself would bound only what is sent, not what it unpacks.
within() {
  head -c $((64 * 1024 * 1024))
  [ "$(head -c 1 | wc -c)" -eq 0 ] || echo "$step: the answer is longer than 64 MB" >&3
}

# send: like fetch, and stops with the server's own words when the server refuses.
send() {
  fetch "$@"
  note_records "$2" "$3"
  expect_success
}

# curl_config METHOD TARGET [HEADER]...: the options for curl. The headers that curl would add by itself are taken away;
# an answer that comes packed, asked for or not, is unpacked.
curl_config() {
  local method=$1 target=$2 header
  shift 2
  printf '%s\n' silent show-error globoff path-as-is compressed 'connect-timeout = 30' 'max-time = 300'
  printf '%s\n' 'write-out = "\n%header{retry-after}\n%{http_code}"' 'proto = "=http,https"'
  printf 'url = "%s"\n' "$(quoted "$DF_BASE_URL$target")"
  if [ "$method" = HEAD ]; then echo head; else printf 'request = "%s"\n' "$(quoted "$method")"; fi
  for header in Accept: Accept-Encoding: Content-Type: Expect: "$@"; do
    printf 'header = "%s"\n' "$(quoted "$header")"
  done
}

quoted() {
  local text=${1//\\/\\\\}
  printf '%s' "${text//\"/\\\"}"
}

expect_success() {
  case $status in
    2??) ;;
    3??) die 1 "failed: $step: $status: redirected, which is not followed: check DF_BASE_URL" ;;
    *) die 1 "failed: $step: $status $(explain)" ;;
  esac
}

# explain: the server's own words for a refusal, with those about each record of a batch.
explain() {
  if ! printf '%s' "$answer" | jq --exit-status '.error | objects' >/dev/null 2>&1; then
    answer=$(without_secrets "${answer:0:4000}") # before it is cut
  fi
  printf '%s\036%s' "$answer" "${json:-}" | jq --raw-input --slurp --raw-output '
    # the statement that a database refused is left out: values of other records may stand in it
    def words:
      ((.message | strings), (.context | objects | select(has("resource") | not) | .. | strings))
      | sub("\\s?\\((?:Connection: [^()]*, )?SQL: [\\s\\S]*"; "");
    def plain:
      reduce (["&lt;", "<"], ["&gt;", ">"], ["&quot;", "\""], ["&#039;", "\u0027"], ["&#39;", "\u0027"],
          ["&#x27;", "\u0027"], ["&amp;", "&"])
        as [$escaped, $char] (.; split($escaped) | join($char))
      | explode | map(if . < 32 then 32 else . end) | implode;
    split("\u001e") as $parts
    | ($parts[:-1] | join("\u001e")) as $text
    | [$parts[-1] | try fromjson catch null | (objects | .resource), . | arrays][0] as $sent
    | [ $text | try fromjson catch null | objects | .error | objects
        | ([words] | join(" ")),
          (.context | objects | .resource | arrays | to_entries[]
            | [($sent // [])[.key] | objects | .email, .name, .path | strings][0] as $name
            | "record \(.key + 1)\(if $name then " (\($name))" else "" end): \([.value | objects | words] | select(. != []) | join(" "))")
        | select(. != "") ]
    | if . == [] then [$text | split("\n")[0] // "" | sub("\\s?\\((?:Connection: [^()]*, )?SQL: [\\s\\S]*"; "") | .[:200]] else . end
    | map(plain | .[:20000]) | .[:100] | join("\n  ")'
}

# record_of_answer: the answer, which must be a record.
record_of_answer() {
  exact_answer | jq --slurp --compact-output --exit-status '.[0] | objects' 2>/dev/null || die 1 "failed: $step: the answer is no record"
}

# exact_answer: the answer, with whole numbers of 16 digits and more as texts, because jq 1.6 would round them.
exact_answer() {
  if [[ $answer =~ [0-9]{16} ]]; then
    printf '%s' "$answer" | jq --raw-input --slurp --raw-output '
      gsub("(?<before>[:,\\[]\\s*)(?<digits>-?[0-9]{16,})(?=\\s*[,}\\]])"; "\(.before)\"\(.digits)\"") as $exact
      | if $exact | try (fromjson | true) catch false then $exact else . end'
  else
    printf '%s' "$answer"
  fi
}

# capture TYPE PLACE: the value at a place of the answer.
capture() {
  local value
  value=$(exact_answer | jq --raw-output "($2)? | scalars | select(. != null) | \"=\(.)\"" 2>/dev/null) || value=''
  case $value in =*) ;; *) die 1 "failed: $step: the answer has no $2, which a later step needs" ;; esac
  value=${value#=}
  "is_$1" "$value" || die 1 "failed: $step: $2 of the answer is not of the type $1"
  printf '%s' "$value"
}

# search PATH ROWS FIELD [HEADER]...: sets hits to 1= and the field of the one record that has all the values in the
# variable json, to nothing when there is none. The server's filter has no escaping, so the values of what comes back are
# compared, and where the filter finds nothing all records are listed.
search() {
  local path=$1 rows=$2 field=$3 fields query=''
  shift 3
  hits=''
  if [ "$rows" = '.resource' ]; then
    fields=$(printf '%s' "$json" | jq --raw-output --arg field "$field" '
      if length == 1 then ["id", keys[0], $field] | reduce .[] as $name ([]; if index($name) then . else . + [$name] end)
        | map(@uri) | join(",") else "" end')
    query=$(printf '%s' "$json" | jq --raw-output '
      to_entries[0] | select((.value | type) == "string" and .value != "" and (.value | test("[\"\\\\(){},<>=!]") | not))
      | "\(.key)=\"\(.value)\""')
    case $path in *\?*) path="$path&" ;; *) path="$path?" ;; esac
    if [ -n "$fields" ]; then fields="fields=$fields"; else query=''; path=${path%?}; fi
    if [ -n "$query" ]; then
      fetch without_body GET "${path}filter=$(uri_text "$query")&$fields" "$@"
      case $status in 2??) hits=$(matching) ;; esac
    fi
    path=$path$fields
  fi
  if [ -z "$hits" ]; then
    if [ "$rows" = '.resource' ]; then fetch_list "$path" "$@"; else fetch without_body GET "$path" "$@"; fi
    expect_success
    hits=$(matching)
  fi
  case $hits in
    '' | 1=*) ;;
    *) die 1 "failed: $step: ${hits%%=*} records match on $DF_BASE_URL: $json" ;;
  esac
}

# fetch_list PATH [HEADER]...: fetches a list; one that the server cuts is read to its end, then answer is all of it.
# What is added meanwhile comes last; where one is deleted, those behind it move.
fetch_list() {
  local path=$1 pages='' count=0 state word first=null seen=0 total=0 from=''
  shift
  case $path in *\?*) path="$path&" ;; *) path="$path?" ;; esac
  while [ "$((count += 1))" -le 1000 ]; do
    fetch without_body GET "${path}include_count=true$from" "$@"
    case $status in 2??) ;; *) return ;; esac
    state=$({
      printf '%s\n' "$first"
      exact_answer
    } | jq --slurp --raw-output --argjson seen "$seen" --argjson total "$total" '
      .[0] as $first | .[1] as $answer
      | ($answer | if type == "array" then . else .resource? | arrays end) as $shown
      | ([$answer | objects | .meta? | objects | .count | numbers][0] // 0) as $count
      | ($seen + ($shown | length)) as $all
      | if $count < $total or ($seen > 0 and $shown[:1] == [$first]) then "cut \($seen) \($total)"
        else (if $shown == [] or $all >= $count then "whole" else "more" end) + " \($all) \($count)" end,
        ($shown[0] | tojson), ($shown | tojson)' 2>/dev/null) || state=''
    if [ -z "$state" ]; then return; fi # who asked says that it is no list
    read -r word seen total <<<"${state%%$'\n'*}"
    from="&offset=$seen"
    state=${state#*$'\n'}
    if [ "$count" = 1 ]; then first=${state%%$'\n'*}; fi
    pages=$pages${state#*$'\n'}
    case $word in
      whole)
        if [ "$count" -gt 1 ]; then answer=$(printf '%s' "$pages" | jq --slurp --compact-output add); fi
        return
        ;;
      cut) break ;;
    esac
  done
  die 1 "failed: $step: only $seen of $total records could be read: the list changes (run again), or is cut (raise DB_MAX_RECORDS_RETURNED)"
}

# matching: how many records of the answer have all the values, and the field of the first: 1=7. Nothing when none has.
# The server shows an empty text as null.
matching() {
  exact_answer | wanted=$json jq --slurp --raw-output --arg field "$field" "
    def shown: if . == \"\" then null else . end;
    (\$ENV.wanted | fromjson) as \$wanted
    | (.[0] | if type == \"array\" then . else (${rows})? | arrays end) // error
    | [.[] | objects | . as \$row | select(all(\$wanted | to_entries[]; (\$row[.key] | shown) == (.value | shown)))]
    | select(. != []) | \"\(length)=\(.[0][\$field] | scalars)\"" 2>/dev/null ||
    die 1 "failed: $step: the answer is no list of records"
}

# ensure METHOD TARGET [HEADER]...: creates the record that the variable document describes, or changes what differs of
# it. It is looked for by its keys, the newest first; without any, the target names it. Sets answer to the record.
ensure() {
  local method=$1 target=$2 json hits path query keys id key noted=yes
  shift 2
  path=${target%%\?*}
  query=${target#"$path"}
  keys=$(printf '%s' "$document" | jq --compact-output '.keys[]')
  if [ -n "$keys" ]; then
    while IFS= read -r json; do
      search "$path" '.resource' 'id' "$@"
      if [ -n "$hits" ]; then
        change "$path/${hits#1=}$query" "$@"
        return
      fi
    done <<<"$keys"
  else
    fetch without_body GET "$path" "$@"
    if [ "$status" != 404 ]; then
      change "$target" "$@"
      return
    fi
  fi
  json=$(printf '%s' "$document" | jq --compact-output '
    (.record + (.rows | map_values([.rows[].row | values]))) as $whole
    | if .keys == [] then $whole else {resource: [$whole]} end')
  key=$(printf '%s' "$document" | jq --compact-output '.keys[-1] // empty')
  note_creating "$path" "$key"
  fetch with_json "$method" "$target" 'Content-Type: application/json' "$@"
  note_records "$method" "$target"
  case $status in
    5??) ;; # a gateway may have said it: the record may be there
    2??) if [ -n "$key" ]; then note_answered "$path" "$key"; fi ;;
    *) note_answered "$path" "$key" ;;
  esac
  expect_success
  answer=$(exact_answer | jq --compact-output '(.resource[0])? // .' 2>/dev/null) || answer=''
  if [ -n "$keys" ]; then
    id=$(printf '%s' "$answer" | jq --raw-output '.id | values | tostring | @uri' 2>/dev/null) || id=''
    if [ -z "$id" ]; then die 1 "failed: $step: the answer has no id"; fi
    path=$path/$id
  fi
  made="$made$path "
  tell created
}

# change TARGET [HEADER]...: changes what differs of a record that is there. Sets answer to the record.
change() {
  local target=$1 related have json fresh makes=''
  shift
  related=$(printf '%s' "$document" | jq --raw-output '.rows | keys_unsorted | map(@uri) | join(",")')
  fetch without_body GET "${target%%\?*}${related:+?related=$related}" "$@"
  expect_success
  have=$(record_of_answer)
  case $made in *" ${target%%\?*} "*) fresh=true ;; *) fresh=false ;; esac
  json=$(printf '%s\n%s' "$document" "$have" | jq --slurp --compact-output --argjson fresh "$fresh" '
    def empty_value: . == null or . == "" or . == [] or . == {};
    def plain($other):
      if type == "boolean" or (($other | type) == "boolean" and (tostring | test("^(true|false)$"; "i")))
      then {"true": "1", "false": "0"}[tostring | ascii_downcase] else tostring end;
    def trimmed: if startswith(" ") then .[1:] | trimmed elif endswith(" ") then .[:-1] | trimmed else . end;
    def listed: if type == "array" then . elif type == "string" then split(",") | map(trimmed) else [.] end;
    def differs($have; $later; $place):
      . as $wanted
      | if ($later | index([$place])) or $have == "**********" then false
        elif type == "object" and ($have | type) == "object" then
          any(keys_unsorted[]; . as $field | ($have | has($field)) and ($wanted[$field]
            | differs($have[$field]; $later; if $place == "" then $field else "\($place).\($field)" end)))
        elif empty_value or ($have | empty_value) then empty_value != ($have | empty_value)
        elif type == "array" or ($have | type) == "array" then
          reduce listed[] as $item ({rest: ($have | listed), bad: false};
            [.rest[] | . as $other | $item | differs($other; $later; "\($place)[]") | not] as $same
            | ($same | index(true)) as $at
            | if $at == null then .bad = true else .rest |= del(.[$at]) end)
          | .bad or .rest != []
        else plain($have) != ($have | plain($wanted)) end;
    def unlike($have): # in anything: free JSON is compared as a whole
      if type == "object" and ($have | type) == "object" then
        keys != ($have | keys) or any(keys_unsorted[] as $field | .[$field] | unlike($have[$field]); .)
      elif type == "array" and ($have | type) == "array" then
        length != ($have | length) or any(range(length) as $at | .[$at] | unlike($have[$at]); .)
      else differs($have; []; "") end;
    # {rest, there}: the first of the rest that has one of the keys is there; when only, unless others have it, too.
    def taken($keys; $only):
      .rest as $rest
      | first(($keys[] | . as $key | [range($rest | length) | select(. as $at | $key | differs($rest[$at]; []; "") | not)]
          | select(. != [] and ($only and length > 1 | not)) | .[0]), null) as $at
      | if $at == null then .there = null else .there = $rest[$at] | .rest |= del(.[$at]) end;

    def unseen($have): . as $field | ($have | has($field) | not) or ($have[$field] | tostring | contains("**********"));
    def row_changes($given):
      reduce $given.rows[] as $entry ({rest: ., rows: []}; taken($entry.keys; false) | .rows += [[$entry, .there]])
      | reduce .rows[] as [$entry, $known] (. + {sent: []};
          .there = $known
          | if .there == null and $entry.row != null and $given.may_differ
            then taken([$entry.keys[0] | with_entries(select(.key as $field | $given.may_differ | index([$field]) | not))]; true)
            else . end
          | .there as $there
          | (if $there then {($given.id): $there[$given.id]} else {} end) as $own
          | if $entry.later then .
            elif $entry.row == null then if $there then .sent += [$own + {($given.parent): null}] else . end
            elif $there == null or ($entry.row | differs($there; []; "")) then .sent += [$own + $entry.row]
            else . end)
      | .sent + if $given.only then [.rest[] | {($given.id): .[$given.id], ($given.parent): null}] else [] end;
    .[0] as $wanted | .[1] as $have
    | [$wanted.record | to_entries[] | . as $field
        | select(($have | has($field.key)) and ($field.value
            | if ($wanted.whole // [] | index([$field.key])) and ($wanted.later | index([$field.key]) | not)
              then unlike($have[$field.key]) else differs($have[$field.key]; $wanted.later; $field.key) end))]
    | from_entries
    | reduce ($wanted.rows | to_entries[]) as $relation (.;
        ([$have[$relation.key] | arrays | .[] | objects] | row_changes($relation.value)) as $rows
        | if $rows == [] then . else .[$relation.key] = $rows end)
    | if . != {} or $fresh then
        reduce ($wanted.secrets // [] | .[] | select(unseen($have))) as $field (.; .[$field] = $wanted.record[$field])
      else . end
    | reduce ($wanted.shaped // {} | to_entries[] | select(.key | in($wanted.record))) as $field (.;
        if has($field.value) then .[$field.key] = $wanted.record[$field.key] else . end)
    | if . != {} then
        reduce ($wanted.needs // [] | .[]) as $field (.; if has($field) or $have[$field] != null then . else .[$field] = "" end)
      else . end')
  if [ "$json" = '{}' ]; then
    tell unchanged
  else
    if [ "$fresh" = false ]; then note_changing "${target%%\?*}"; fi
    send with_json PATCH "$target" 'Content-Type: application/json' "$@"
    tell changed "$(printf '%s' "$json" | jq --raw-output 'keys_unsorted | join(", ")')"
  fi
  answer=$have
}

# remove TARGET ID [HEADER]...: deletes a record, if it is there.
remove() {
  local target=$1 there=$2 related
  shift 2
  if [ -n "$there" ]; then
    related=$(printf '%s' "$document" | jq --raw-output '.again.rows // {} | keys_unsorted | map(@uri) | join(",")')
    fetch without_body GET "${target%%\?*}${related:+?related=$related}" "$@"
    if [ "$status" = 404 ]; then there=''; else expect_success; fi
  fi
  if [ -n "$there" ]; then
    note_removing "${target%%\?*}" "$@"
    send without_body DELETE "$target" "$@"
    tell deleted
  else
    tell unchanged 'already absent'
  fi
}

created=0 changed=0 deleted=0 unchanged=0
made=' ' # the paths of what this run created

# tell OUTCOME [MORE]: says what happened to the step's record, and counts it.
tell() {
  printf -v "$1" %d "$((${!1} + 1))"
  say "- $step: $1${2:+ ($2)}"
}

wrote() { [ "$((created + changed + deleted))" -gt 0 ]; }

summary() {
  if wrote; then
    say "$created created, $changed changed, $deleted deleted, $unchanged unchanged"
  else
    say "unchanged: all $unchanged records are as wanted, nothing was written"
  fi
}

# note_records METHOD TARGET: notes what a request created or deleted. Of a failed batch, what the server says it made.
note_records() {
  printf '%s' "$answer" | jq --raw-input --slurp --compact-output --arg base_url "$DF_BASE_URL" --arg method "$1" \
    --arg path "${2%%\?*}" --arg makes "${makes:-}" --arg status "$status" --argjson made_for "$made_for" '
    (try fromjson catch null) as $answer
    | ($status | startswith("2")) as $done
    | ([$answer | objects | .error? | objects | .context? | objects | .resource?] + [$answer | .resource?]
        | map(arrays) | .[0]
        // if $status == "201" or ($method == "DELETE" and $done) then [$answer] else [] end) as $rows
    | [$rows[] | objects | .id | select(. != null) | tostring | @uri] as $own
    | (if $made_for == {} then {} else {for: $made_for} end) as $for
    | (if $makes != "" then $own[] | {$base_url} + $for + {created: "\($makes)/\(.)"} else empty end),
      (if $method == "DELETE" and $done then {$base_url, deleted: ($path, "\($path)/\($own[])")} else empty end)
    ' | without_secret_names >>"$DF_CREATED" ||
    die 1 "$DF_CREATED: cannot be written; what the last step created or deleted is not noted there"
}

# without_secret_names: the notes in which no secret is part of a record's name, which ends its path; ids are none.
without_secret_names() {
  local note name
  while IFS= read -r note; do
    name=${note##*/}
    name=${name%\"\}}
    if [[ $name != *[!0-9]* ]] || ! is_secret "$name"; then printf '%s\n' "$note"; fi
  done
}

is_secret() { [ -n "$1" ] && [ "$(without_secrets "$1")" != "$1" ]; }

# note_creating PATH [KEY]: notes before it is sent what a create makes: the run may be stopped before it hears the answer.
note_creating() {
  if is_secret "${2:-${1##*/}}"; then # a secret names it
    noted=''
    return
  fi
  jq -nc --arg base_url "$DF_BASE_URL" --arg path "$1" --argjson key "${2:-null}" --argjson made_for "$made_for" '
    {$base_url} + (if $made_for == {} then {} else {for: $made_for} end)
    + (if $key then {creating: $path, $key} else {created: $path} end)' >>"$DF_CREATED" ||
    die 1 "$DF_CREATED: cannot be written; $step was not sent"
}

# note_found NOTE: notes before it is sent what is done to what was found; not where nothing can be told, or a secret
# stands in it.
note_found() {
  if [ -z "$1" ] || is_secret "$1"; then return; fi
  printf '%s\n' "$1" >>"$DF_CREATED" || die 1 "$DF_CREATED: cannot be written; $step was not sent"
}

# note_changing PATH: notes what is sent to change a found record (json) and what it was (have), so that it can be put
# back; no secrets, and nothing that the server masks.
note_changing() {
  note_found "$(printf '%s\n%s\n%s' "$document" "$have" "$json" | jq --slurp --compact-output --arg base_url "$DF_BASE_URL" \
    --arg path "$1" --argjson made_for "$made_for" '
    def foreign_in($noted): with_entries(select((.key / ".") as [$top, $name] | ($noted | has($top)) and ($noted[$top] | type != "object" or has($name // ""))));
    def looks_secret($pattern): try test($pattern; "i") catch true; # a text may be too long to tell
    def is_shy($undo; $field; $old; $new): ($undo.free // [] | index([$field]))
      and ([{($field): $old}, {($field): $new}] | tojson | looks_secret($undo.secret));
    def is_masked: tostring | contains("**********");
    def notable($hidden; $place): with_entries(select(("\($place).\(.key)" | IN($hidden[]) | not) and (.value | is_masked | not)));
    .[0] as $wanted | .[1] as $have | .[2] as $changed | $wanted.undo.hidden as $hidden | $wanted.undo.merged as $merged
    | reduce ($changed | to_entries[]) as {key: $field, value: $new} ({was: {}, now: {}, rows: {}};
        $have[$field] as $old
        | if $wanted.rows | has($field) then
            $wanted.rows[$field].id as $own
            | [$new[][$own] | values] as $sent
            | .rows[$field] = [$own, $wanted.rows[$field].parent]
            | .was[$field] = [$old | arrays | .[] | objects
                | if IN(.[$own]; $sent[]) and notable($hidden; "\($field)[]") == . then . else {($own): .[$own]} end]
            | .now[$field] = [$new[] | notable($hidden; "\($field)[]")]
          elif ($have | has($field)) and ($field | IN($hidden[]) | not) and (is_shy($wanted.undo; $field; $old; $new) | not) then
            (if ($field | IN($merged[])) and ($old | type) == "object" and ($new | type) == "object" then
               [$old, $new | notable($hidden; $field)] as [$was, $now]
               | [$was, $now | with_entries(select(.key as $key | ($was | has($key)) and ($now | has($key))))]
             else [$old, $new] end) as [$was, $now]
            | if ($was | is_masked) or [$was, $now] == [{}, {}] then . else .was[$field] = $was | .now[$field] = $now end
          else . end)
    | select(.was != {})
    | . as {$was, $now}
    | {$base_url} + (if $made_for == {} then {} else {for: $made_for} end) + {changed: ($wanted.undo.at // $path)} + .
      + {merged: [$merged[] | select([$was[.], $now[.] | objects] | length == 2)],
          whole: [$wanted.whole // [] | .[] | select(in($was))],
          foreign: ($wanted.undo.foreign | foreign_in($was))}')"
}

# note_removing PATH [HEADER]...: notes the record of the answer before it is deleted, if it can be made anew, and before
# that, as a teardown goes backwards, what points to it.
note_removing() {
  local path=${1%/*} record removal refers list related optional note
  shift
  record=$(record_of_answer)
  removal=$(printf '%s\n%s' "$document" "$record" | jq --slurp --compact-output --arg base_url "$DF_BASE_URL" \
    --arg path "$path" --argjson made_for "$made_for" '
    def looks_secret($pattern): try test($pattern; "i") catch true; # a text may be too long to tell
    def without($place):
      if type == "array" then map(without($place))
      elif type != "object" or (has($place[0]) | not) then .
      elif $place[1:] == [] then del(.[$place[0]])
      else .[$place[0]] |= without($place[1:]) end;
    .[0].again as $again | .[1] as $have
    | select($again and ($have | tostring
        | (contains("**********") or ($again.secret != "" and looks_secret($again.secret))) | not))
    | (reduce $again.made[] as $place ($have | with_entries(select(.value != null)); without($place / "."))) as $record
    | {$base_url} + (if $made_for == {} then {} else {for: $made_for} end) + {removing: $path,
        key: ($again.key | map({key: ., value: $have[.]}) | from_entries),
        id: $have[$again.id],
        record: (reduce ($again.rows | to_entries[]) as {key: $relation, value: $own} ($record;
          if ((.[$relation] | arrays) // []) == [] then del(.[$relation])
          else .[$relation] |= map(with_entries(select(.key | IN($own[]) | not))) end)),
        foreign: $again.foreign}')
  if [ -z "$removal" ] || is_secret "$removal"; then return; fi
  while IFS= read -r refers; do
    list=$(printf '%s' "$refers" | jq --raw-output .path)
    related=$(printf '%s' "$refers" | jq --raw-output '.rows | keys_unsorted | map(@uri) | join(",")')
    step="$step: $list" fetch_list "$list${related:+?related=$related}" "$@"
    optional=$(printf '%s' "$refers" | jq .optional)
    if [ "$status $optional" = '404 true' ]; then continue; fi # this server has no such records
    step="$step: $list" expect_success
    exact_answer | jq --exit-status 'if type == "array" then . else .resource? end | arrays' >/dev/null 2>&1 ||
      die 1 "failed: $step: $list: the answer is no list of records"
    while IFS= read -r note; do note_found "$note"; done < <(printf '%s\n%s\n%s' "$refers" "$removal" "$(exact_answer)" |
      jq --slurp --compact-output --arg base_url "$DF_BASE_URL" --arg path "$path" --argjson made_for "$made_for" --argjson anew '{}' '
      def at($place; change):
        if type == "array" then map(at($place; change))
        elif $place == [] then change
        elif type == "object" and has($place[0]) then .[$place[0]] |= at($place[1:]; change)
        else . end;
      def new_id($lists): . as $id | [$anew[$lists[] | "\(.)/\($id | tostring | @uri)"] | values][0];
      def with_new_ids($foreign): reduce ($foreign // {} | to_entries[]) as {key: $place, value: $lists} (.;
        at($place | split("."); new_id($lists) // .));

      def foreign_in($noted): with_entries(select((.key / ".") as [$top, $name] | ($noted | has($top)) and ($noted[$top] | type != "object" or has($name // ""))));
      .[0] as $refers | .[1].id as $id
      | .[2] | (if type == "array" then . else .resource? end | arrays)[] | objects | . as $record
      | reduce ($refers.foreign | to_entries[] | select(.value | index([$path])) | .key / ".") as [$top, $field, $deeper] ({};
          $record[$top] as $value
          | if $refers.rows | has($top) then
              $refers.rows[$top][0] as $own
              | [$value | arrays | .[] | objects | select(.[$own] != null and .[$field] == $id)] as $there
              | if $there == [] then .
                else .was[$top] += $there | .now[$top] += [$there[] | {($own): .[$own], ($field): null}] end
            elif $value | type == "object" then
              {($field): $value[$field]} as $part
              | ($part | at([$field, $deeper | values]; if . == $id then null else . end)) as $left
              | if $left == $part or ($part | tostring | contains("**********")) then .
                else .was[$top] += $part | .now[$top] += $left end
            elif $value == $id then .was[$top] = $value | .now[$top] = null
            else . end)
      | select(has("was")) | .was as $was
      | {$base_url} + (if $made_for == {} then {} else {for: $made_for} end)
        + {changed: "\($refers.path)/\($record[$refers.id] | tostring | @uri)"} + .
        + {rows: ($refers.rows | with_entries(select(.key | in($was)))), merged: [$refers.merged[] | select(in($was))],
            needs: $refers.needs, foreign: ($refers.foreign | foreign_in($was))}')
  done < <(printf '%s' "$document" | jq --compact-output '.again.refers[]')
  note_found "$removal"
}

# note_answered PATH [KEY]: the create was answered; without a key, it was refused.
note_answered() {
  if [ -z "$noted" ]; then return; fi
  jq -nc --arg base_url "$DF_BASE_URL" --arg path "$1" --argjson key "${2:-null}" '
    {$base_url} + (if $key then {settled: $path, $key} else {deleted: $path} end)' >>"$DF_CREATED" ||
    die 1 "$DF_CREATED: cannot be written"
}

# What jq 1.6 leaves as it is although it may have a meaning in a URL is encoded too.
uri_text() {
  printf '%s' "$1" | jq --raw-input --slurp --raw-output '
    reduce (["!", "%21"], ["*", "%2A"], ["\u0027", "%27"], ["(", "%28"], [")", "%29"])
      as [$char, $code] (@uri; split($char) | join($code))'
}

note() {
  step=$(readable "$1")
  say "- $step"
}

# say LINE...: tells whoever runs this; where standard error is closed or full, the work is done all the same.
say() { printf '%s\n' "$@" >&2 || :; }

die() {
  say "$(readable "$(without_secrets "$2")")"
  exit "$1"
}

# readable TEXT: the text without what would steer a terminal: controls, and marks that hide or turn the direction.
readable() {
  local text=${1//[$'\001'-$'\011'$'\013'-$'\037'$'\177']/ } mark
  for mark in $'\302[\200-\237\255]' $'\330\234' $'\342\200[\213-\217\250-\256]' $'\342\201[\240-\257]' $'\357\273\277'; do
    text=${text//$mark/ }
  done
  printf '%s' "$text"
}

# without_secrets TEXT: the text, with the names of secrets in the places of their values, however they are written.
without_secrets() {
  local text=$1 name value names=(DF_PASSWORD DF_SESSION_TOKEN app_api_key)
  for name in "${names[@]}"; do
    value=${!name:-}
    if [[ $value == ????* ]]; then text=${text//"$value"/($name)}; fi
  done
  printf '%s' "$text" | jq --raw-input --slurp --join-output '
    "%(?:25){0,2}" as $percent | "(?:[\\\\]|\($percent)5[cC])" as $backslash
    | def hex: if . > 15 then (. / 16 | floor | hex) + (. % 16 | hex) else . as $digit | "0123456789abcdef"[$digit:$digit + 1] end;
    def octet: (. / 16 | floor | hex) + (. % 16 | hex);
    def units: # of UTF-16, as JSON writes them
      (if . < 65536 then [.] else [55296 + ((. - 65536) / 1024 | floor), 56320 + . % 1024] end)
      | map("u\(. / 256 | floor | octet)\(. % 256 | octet)");
    def form: # of a character, of a run of blanks or of backslashes
      . as $part | explode[0] as $code
      | if test("^[A-Za-z0-9]") then .
        elif startswith("\\") then "(?:\($backslash)|&(?:#0{0,2}92|#[xX]0{0,2}5[cC]|bsol);){\(length),\(8 * length)}"
        elif test("^\\s") then
          "(?i:&(?:amp;){0,2}(?:#0{0,2}(?:9|1[0-3]|32|160)|#x0{0,2}(?:9|[a-d]|20|a0)|nbsp|tab|newline);)" as $entity
          | "(?:\\s|[+]|\($percent)(?:20|0[89A-Da-d])|\($backslash){1,4}(?:[bfnrt]|u[0-9A-Fa-f]{4})|\($entity)){1,99}"
        else
          (if $code < 128 then $percent + ($code | octet) else @uri | split("%") | join($percent) end) as $octets
          | ($code | units | map("\($backslash){1,4}\(.)") | join("")) as $escaped
          | "(?:(?i:\($escaped)|&(?:amp;){0,2}(?:#0{0,2}\($code)|#x0{0,2}\($code | hex)|[a-z][a-z0-9]{1,30});)"
            + "|\($backslash){0,4}(?:(?i:\($octets))|\(if $code < 128 then "\\" + . else . end)))"
            + (if . == "\"" then "{1,2}" else "" end) # twice in CSV
        end;
    def json_forms: # of the value: as it is, and in JSON of both styles
      (tojson | .[1:-1]) as $json | ($json | explode | map(if . < 128 then [.] | implode else units | map("\\\(.)") | join("") end) | join(""))
      as $ascii | [., ($json, $ascii | ., (split("/") | join("\\/")))] | unique[];
    def forms:
      ([scan("[\\\\]+|\\s+|.") | form] | join("")),
      (explode | map("&#(?:0{0,3}\(.)|[xX]0{0,3}(?i:\(hex)));") | join("")),
      (json_forms | select(utf8bytelength > 5) | ("", " ", "  ") as $before
        | ($before + . | @base64 | rtrimstr("=") | rtrimstr("="))
        | (if length % 4 == 0 then . else .[:length - length % 4] end) | if $before == "" then . else .[4:] end
        | select(length > 7) | split("+") | join("(?:[+-]|\($percent)2[bB])") | split("/") | join("(?:[\\\\]?/|_|\($percent)2[fF])")
        | "[\\w+/-]{0,4}\(.)(?:[\\w+/-]|\($percent)2[bBfF])*(?:=|\($percent)3[dD])*");
    reduce ($ARGS.positional[] | {name: ., value: ($ENV[.] // "" | gsub("^\\s+|\\s+$"; ""))} | select(.value | length > 3))
      as {$name, $value} (.; gsub([$value | forms] | join("|"); "(\($name))"))' --args "${names[@]}" 2>/dev/null ||
    printf '%s' "$text"
}

main "$@"
