#!/usr/bin/env bash
#
# edit role: 2 steps recorded in edit-role.har.
#
# Needs bash, curl and jq (1.6 or later). Takes from the environment:
#
#   DF_BASE_URL       the instance to run against, e.g. https://df.example.com
#   DF_EMAIL          the account that logs in
#   DF_PASSWORD       the password of that account (secret)
#   DF_SESSION_TOKEN  a session token to use instead of logging in (secret, optional)
#
# Run it:  bash SCRIPT      Show this:  bash SCRIPT --help
# Exit codes: 0 done, 1 a step failed, 2 something to set is missing or wrong (nothing was sent).
#
# What dfrecord noticed in the recording:
#   left out, 1x: role_service_access_by_role_id[].id (made by the server) (update_role)
#   left out, 1x: role_service_access_by_role_id[].role_id (the row's own parent, filled in by the server) (update_role)
#   dropped, 1x: console noise: the console asks for its support chat setting
#   dropped, 3x: console noise: the console's dashboard counts records
#   dropped, 5x: read that no later step needs

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

# 2. Find role warehouse-reader
find_role_id() {
  note 'Find role warehouse-reader'
  local json
  json=$(jq -nc '{"name": "warehouse-reader"}')
  find_record digits 'role with name "warehouse-reader"' '/api/v2/system/role' '.resource' 'id' \
    'Accept: application/json' \
    "X-DreamFactory-Session-Token: $DF_SESSION_TOKEN"
  role_id=$found
}

# 3. Find service partner_api
find_service_id() {
  note 'Find service partner_api'
  local json
  json=$(jq -nc '{"name": "partner_api"}')
  find_record integer 'service with name "partner_api"' '/api/v2/system/service' '.resource' 'id' \
    'Accept: application/json' \
    "X-DreamFactory-Session-Token: $DF_SESSION_TOKEN"
  service_id=$found
}

# 4. Update role warehouse-reader
# left out: role_service_access_by_role_id[].id (made by the server)
# left out: role_service_access_by_role_id[].role_id (the row's own parent, filled in by the server)
update_role() {
  note 'Update role warehouse-reader'
  local json
  json=$(jq -nc \
    --argjson service_id "$service_id" \
    '{
      "description": "Reads the warehouse and the partner API",
      "role_service_access_by_role_id": [
        {
          "service_id": $service_id,
          "component": "*",
          "verb_mask": 5,
          "requestor_mask": 1,
          "filters": []
        }
      ]
    }')
  send with_json PUT "/api/v2/system/role/$role_id" \
    'Accept: application/json' \
    'Content-Type: application/json' \
    "X-DreamFactory-Session-Token: $DF_SESSION_TOKEN"
}

main() {
  check_environment "$@"
  if [ -z "$given_token" ]; then log_in; fi
  find_role_id
  find_service_id
  update_role
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
  for name in "$@"; do
    if [ -z "${!name:-}" ]; then missing="$missing, $name"; fi
  done
  if [ -n "$missing" ]; then die 2 "set ${missing#, } first; nothing was sent"; fi
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

# find_record TYPE WHAT PATH ROWS FIELD [HEADER]...: sets found to the field of the one record that has all the values in
# the variable json.
find_record() {
  local type=$1 what=$2 field=$5 hits
  shift 2
  search "$@"
  if [ -z "$hits" ]; then die 1 "failed: $step: there is no $what on $DF_BASE_URL"; fi
  found=${hits#1=}
  "is_$type" "$found" || die 1 "failed: $step: the $field of the $what is not of the type $type"
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
  local text=$1 name value names=(DF_PASSWORD DF_SESSION_TOKEN)
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
