# Runs one RUN of a Dockerfile, in namespaces of its own:  run-in.sh ROOT FOLDER COMMAND NAME=VALUE…
set -eu
root=$1 folder=$2 command=$3
shift 3
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
cp --dereference /etc/resolv.conf "$root/etc/resolv.conf"
exec chroot "$root" /usr/bin/env -i --chdir="$folder" HOME=/root \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" /bin/sh -c "$command"
