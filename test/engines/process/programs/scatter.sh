#!/bin/sh
# Starts processes in all the ways in which they get lost, and stays: below a shell, in a session of
# its own, and in one of its own whose parent is gone.
sh -c 'sleep 3600; true' &
setsid sleep 3600 &
sh -c 'setsid sleep 3600 & exit'
(sleep 3600 &)
echo scattered
exec sleep 3600
