#!/usr/bin/env bash
# Prints every item event as a line of JSON; started again, it goes on where it stopped (the file last-event-id).
# URL=http://host:8055 TOKEN=...
id=$(cat last-event-id 2>/dev/null || echo 0)
while IFS= read -r line; do
  case $line in
    id:*) id=${line#id: } ;;
    data:*) printf '%s\n' "${line#data: }" ;;
    "") printf %s "$id" >last-event-id ;;
  esac
done < <(curl -sN -H "Authorization: Bearer $TOKEN" -H "Last-Event-ID: $id" "$URL/events?events=items.*")
