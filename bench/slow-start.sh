#!/bin/sh
# Minimal MCP echo child over stdio that takes as many seconds to start as the file $1 says: 1 MiB, where a Node child takes 40.
read -r seconds < "$1"
sleep "$seconds"
while read -r line; do
  id=${line##*\"id\":}
  id=${id%%[,\}]*}
  case $line in
    *'"method":"initialize"'*)
      result='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"slow-start","version":"1"}}' ;;
    *'"method":"tools/list"'*)
      result='{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}' ;;
    *'"method":"tools/call"'*)
      result='{"content":[{"type":"text","text":"Echo"}]}' ;;
    *'"method":"notifications/'*)
      continue ;;
    *)
      result='{}' ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
