# Becomes the first process of a container of the image, as an engine of containers would start it:
#   enter.sh ROOT VOLUMES masked|unmasked COMMAND…
# in fresh namespaces. The system is read-only, and the account has no right and can gain none. With
# "masked" parts of /proc are covered, as engines do unless they are told not to.
set -eu
root=$1 volumes=$2 proc=$3
shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  : > "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/net dev/shm
mknod -m 666 dev/net/tun c 10 200
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s /proc/self/fd dev/fd
for volume in data key; do
  mount --bind "$volumes/$volume" "$volume"
done
if [ "$proc" = masked ]; then
  for path in bus fs irq sys sysrq-trigger; do
    [ ! -e "proc/$path" ] || { mount --bind "proc/$path" "proc/$path"; mount -o remount,bind,ro "proc/$path"; }
  done
  for path in kcore keys timer_list; do
    [ ! -e "proc/$path" ] || mount --bind /dev/null "proc/$path"
  done
fi
ip link set lo up
mkdir -p mnt
pivot_root . mnt
cd /
umount -l /mnt
mount -o remount,bind,ro /
exec env -i "$@"
