# Runs the tests in the booted system; what the service logged tells why one of them failed.
# As udev leaves it on a machine.
chmod 666 /dev/net/tun
# A machine of software takes long, and this is all that is seen of it meanwhile.
[ "$BOOT_SLOWNESS" = 1 ] || tail -qF /test.log /hog.log > /dev/console 2> /dev/null &
code=0
for suite in $BOOT_SUITES; do
  timeout $((720 * BOOT_SLOWNESS)) /usr/local/bin/node --no-warnings --test --test-reporter=spec /opt/test/boot/inside/$suite.ts >> /test.log 2>&1 || code=1
done
[ $code = 0 ] || journalctl --no-pager -u mcp-supervisor.service -u mcp-supervisor.socket -n 300 >> /test.log
echo $code > /test.code
