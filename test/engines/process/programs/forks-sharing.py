# Holds 60 MB, and three forks that share every page of it.
import os, time

held = bytearray(b"x" * (60 << 20))
for _ in range(3):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
print("done", flush=True)
time.sleep(60)
