# Carries commands out on a machine with the service, as far as they need one:
#   drill.sh FOLDER NODE PROGRAM
# in fresh namespaces. FOLDER has the unit, the config and the commands; the accounts, settings and data
# of the machine around it stay as they are.
set -eu
folder=$1 node=$2 program=$3
mkdir "$folder/etc" "$folder/bin"
for name in passwd group nsswitch.conf hosts ld.so.cache; do
  [ ! -e "/etc/$name" ] || cp -L "/etc/$name" "$folder/etc"
done
echo "mcp-supervisor:x:64323:64323::/:/bin/false" >> "$folder/etc/passwd"
echo "mcp-supervisor:x:64323:" >> "$folder/etc/group"
mount --bind "$folder/etc" /etc
mount -t proc proc /proc
for place in /var/lib /mnt; do mount -t tmpfs tmpfs "$place"; done
mkdir -p /mnt/backup /mnt/keys /etc/systemd/system /etc/mcp-supervisor
install -d -m 700 -o mcp-supervisor /var/lib/mcp-supervisor
cp "$folder/config" /etc/mcp-supervisor/supervisor.config.json
cp "$folder/unit" /etc/systemd/system/mcp-supervisor.service
install -m 400 "$folder/key" /etc/mcp-supervisor/vault.key
cd /

cat > "$folder/bin/sudo" <<END
#!/bin/sh
IS_ROOT=yes exec "\$@"
END

cat > "$folder/bin/mcp-supervisor" <<END
#!/bin/sh
become=
[ "\${IS_ROOT-}" ] || become="setpriv --reuid=64324 --regid=64324 --clear-groups --"
exec \$become "$node" --no-warnings "$program" "\$@"
END

# With the account of the unit, and the key as its credential.
cat > "$folder/bin/systemctl" <<END
#!/bin/sh
set -eu
[ "\${IS_ROOT-}" ]
if [ \$1 = stop ]; then
  pid=\$(cat "$folder/pid")
  kill "\$pid"
  exec tail --pid="\$pid" -f /dev/null
fi
install -d -m 500 -o mcp-supervisor "$folder/credentials"
install -m 400 -o mcp-supervisor /etc/mcp-supervisor/vault.key "$folder/credentials"
rm -f "$folder/out"
mkfifo "$folder/out"
export CREDENTIALS_DIRECTORY="$folder/credentials"
setpriv --reuid=mcp-supervisor --regid=mcp-supervisor --clear-groups -- \\
  "$node" --no-warnings "$program" serve --config /etc/mcp-supervisor/supervisor.config.json > "$folder/out" &
echo \$! > "$folder/pid"
exec 3< "$folder/out"
while read -r line <&3; do
  case \$line in *"serves http"*) cat <&3 > /dev/null & exit 0 ;; esac
done
exit 1
END
chmod -R a+rX,u+w "$folder/bin" "$folder/etc"
chmod 755 "$folder" "$folder/bin/"*
PATH=$folder/bin:$PATH sh -eux "$folder/commands"
