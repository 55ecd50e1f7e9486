// The shim is PID 1 in the pod of one child of mcp-supervisor: it starts what the gateway orders, carries
// its input and output, and ends all of it when the gateway has been silent for too long.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// Set by the build.
var version = "0"

func main() {
	if len(os.Args) < 2 {
		fail("usage: shim copy FILE | serve --keys=FOLDER --listen=ADDRESS --orphan=DURATION | reach --until=connected|blocked --within=DURATION | version")
	}
	switch os.Args[1] {
	case "version":
		fmt.Println(version)
	case "copy":
		if len(os.Args) != 3 {
			fail("usage: shim copy FILE")
		}
		if err := copySelf(os.Args[2]); err != nil {
			fail("the shim could not be copied: %v", err)
		}
	case "serve":
		serve(os.Args[2:])
	case "reach":
		reach(os.Args[2:])
	default:
		fail("no such command: %s", os.Args[1])
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "shim: "+format+"\n", args...)
	os.Exit(1)
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "shim: "+format+"\n", args...)
}

// copySelf writes this program to a file, which is whole or not there.
func copySelf(file string) error {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.CreateTemp(filepath.Dir(file), ".shim-")
	if err != nil {
		return err
	}
	if _, err = io.Copy(to, from); err == nil {
		err = to.Chmod(0o755)
	}
	if closed := to.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(to.Name(), file)
	}
	return err
}

func serve(args []string) {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	keys := flags.String("keys", "", "folder with tls.crt, tls.key and ca.crt")
	listen := flags.String("listen", ":8443", "where the gateway calls")
	orphan := flags.Duration("orphan", time.Minute, "how long the gateway may be silent")
	_ = flags.Parse(args)
	// Nobody of the same account reads this process's memory, or the key in it.
	if err := prctl(prSetDumpable, 0); err != nil {
		fail("it cannot keep its memory to itself: %v", err)
	}
	_ = prctl(prSetChildSubreaper, 1)
	shim := newShim(*orphan)
	listener, err := listenTLS(*listen, *keys)
	if err != nil {
		fail("it cannot listen: %v", err)
	}
	// Whoever starts it with port 0 reads here which one it is.
	fmt.Printf("listening on %s\n", listener.Addr())
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-terminated
		shim.terminate()
	}()
	go shim.watchSilence()
	acceptAll(listener, shim.meet)
}
