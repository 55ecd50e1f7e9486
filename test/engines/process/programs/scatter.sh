#!/bin/sh
# Starts processes in all the ways in which they get lost, says so once they have gone off, and stays: below a
# shell, in a session of its own, and in one of its own whose parent is gone.
sh -c 'sleep 3600; true' &
setsid sleep 3600 &
# Its session is the sixth field.
until read -r _ _ _ _ _ session _ </proc/$!/stat && [ "$session" = "$!" ]; do :; done
# This waits for the end of what is written, which comes when it is in its session.
: "$(sh -c 'setsid sh -c "exec sleep 3600 >/dev/null" & exit')"
(sleep 3600 &)
echo scattered
exec sleep 3600
