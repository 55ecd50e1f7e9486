// Runs in the daemon, which a bench preloads it into: how much its main thread has worked since it was
// last asked, and the longest it worked without a turn for anybody else. The processor's time, not the
// clock's: what else the machine does is no pause of the daemon.
const cpuMs = () => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

let begun = cpuMs();
let before = begun;
let longestMs = 0;

function look() {
  const now = cpuMs();
  longestMs = Math.max(longestMs, now - before);
  before = now;
}

// Due in every turn that took longer than a millisecond.
setInterval(look, 1).unref();
process.on("message", () => {
  look();
  process.send({ cpuMs: before - begun, longestMs });
  [begun, longestMs] = [before, 0];
});
// Nothing is left behind a bench that was ended.
process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
process.channel.unref();
