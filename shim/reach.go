package main

import (
	"flag"
	"net"
	"os"
	"time"
)

const (
	tryPatience = 2 * time.Second
	betweenTry  = 500 * time.Millisecond
	// One that is lost on the way is no policy's doing.
	enoughFailures = 3
)

// reach finds out in a throw-away pod what the cluster's network lets through: whether the apiserver is
// reached, or is not any more, before the time is over. It exits with 0 where that came true, else with 1.
func reach(args []string) {
	flags := flag.NewFlagSet("reach", flag.ExitOnError)
	until := flags.String("until", "connected", "connected or blocked")
	within := flags.Duration("within", 20*time.Second, "how long it may take to come true")
	_ = flags.Parse(args)
	apiserver := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	if !comesTrue(apiserver, *until == "connected", time.Now().Add(*within)) {
		os.Exit(1)
	}
}

func comesTrue(address string, wantsConnection bool, deadline time.Time) bool {
	failures := 0
	for time.Now().Before(deadline) {
		connection, err := net.DialTimeout("tcp", address, tryPatience)
		if err != nil {
			failures++
			if !wantsConnection && failures >= enoughFailures {
				return true
			}
		} else {
			connection.Close()
			failures = 0
			if wantsConnection {
				return true
			}
		}
		time.Sleep(betweenTry)
	}
	return false
}
