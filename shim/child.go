package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type startOrder struct {
	Argv     []string          `json:"argv"`
	Env      map[string]string `json:"env"`
	Cwd      *string           `json:"cwd"`
	Stdio    string            `json:"stdio"`
	OrphanMs int64             `json:"orphanMs"`
	GraceMs  int64             `json:"graceMs"`
}

type exit struct {
	Code   *int   `json:"code"`
	Signal string `json:"signal,omitempty"`
	OOM    bool   `json:"oom"`
}

// child is the one that was started, with all that it has started.
type child struct {
	pid            int
	grace          time.Duration
	stdin          *os.File
	stdout, stderr *output
	// Closed when nothing of it lives, and then exit says how it ended.
	gone chan struct{}
	exit exit

	input chan []byte
	// Of input, in bytes.
	received atomic.Int64
	oomAtOne int64
	stopOnce sync.Once
}

// environment is the image's own, without what leads to the cluster, under what is ordered.
func environment(ordered map[string]string) []string {
	var all []string
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if _, isOrdered := ordered[name]; !isOrdered && !strings.HasPrefix(name, "KUBERNETES_") {
			all = append(all, pair)
		}
	}
	for name, value := range ordered {
		all = append(all, name+"="+value)
	}
	return all
}

func startChild(order startOrder) (*child, error) {
	if len(order.Argv) == 0 {
		return nil, errors.New("no command")
	}
	if path, ok := order.Env["PATH"]; ok {
		_ = os.Setenv("PATH", path)
	}
	program, err := exec.LookPath(order.Argv[0])
	if err != nil {
		return nil, err
	}
	var cwd string
	if order.Cwd != nil {
		cwd = *order.Cwd
	}
	isPiped := order.Stdio == "pipes"
	c := &child{
		grace:    time.Duration(order.GraceMs) * time.Millisecond,
		stdout:   newOutput(!isPiped),
		stderr:   newOutput(true),
		gone:     make(chan struct{}),
		input:    make(chan []byte, 1024),
		oomAtOne: oomKills(),
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errRead, errWrite, _ := os.Pipe()
	inRead, err := os.Open(os.DevNull)
	if isPiped {
		inRead, c.stdin, err = os.Pipe()
	}
	if err != nil {
		return nil, err
	}
	theirs := []*os.File{inRead, outWrite, errWrite}
	c.pid, err = syscall.ForkExec(program, order.Argv, &syscall.ProcAttr{
		Dir:   cwd,
		Env:   environment(order.Env),
		Files: []uintptr{inRead.Fd(), outWrite.Fd(), errWrite.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	for _, file := range theirs {
		file.Close()
	}
	if err != nil {
		return nil, err
	}
	go c.stdout.readFrom(outRead)
	go c.stderr.readFrom(errRead)
	go c.reap()
	return c, nil
}

// reap waits for the child, and as PID 1 for whatever is left to it; when the child has ended, all else is
// ended too.
func (c *child) reap() {
	hasEnded := false
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			break
		}
		if pid == c.pid && (status.Exited() || status.Signaled()) {
			hasEnded = true
			c.exit = exitOf(status, oomKills() > c.oomAtOne)
		}
		if hasEnded {
			killRest(c.pid)
		}
	}
	close(c.gone)
}

func exitOf(status syscall.WaitStatus, oom bool) exit {
	if status.Signaled() {
		return exit{Signal: signalName(status.Signal()), OOM: oom && status.Signal() == syscall.SIGKILL}
	}
	code := status.ExitStatus()
	return exit{Code: &code, OOM: false}
}

var signalNames = map[syscall.Signal]string{
	syscall.SIGABRT: "SIGABRT", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE", syscall.SIGHUP: "SIGHUP",
	syscall.SIGILL: "SIGILL", syscall.SIGINT: "SIGINT", syscall.SIGKILL: "SIGKILL", syscall.SIGPIPE: "SIGPIPE",
	syscall.SIGQUIT: "SIGQUIT", syscall.SIGSEGV: "SIGSEGV", syscall.SIGTERM: "SIGTERM", syscall.SIGSYS: "SIGSYS",
}

func signalName(s syscall.Signal) string {
	if name, ok := signalNames[s]; ok {
		return name
	}
	return "SIGKILL"
}

// killRest ends all processes of the pod but this one; outside of a pod those of the child's group.
func killRest(pid int) {
	if os.Getpid() == 1 {
		_ = syscall.Kill(-1, syscall.SIGKILL)
	} else {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// feed writes whole messages to the child, one after the other, and tells how many bytes it has taken each time.
func (c *child) feed(taken func(count int64)) {
	for {
		select {
		case <-c.gone:
			return
		case message := <-c.input:
			if _, err := c.stdin.Write(message); err != nil {
				// It has closed its input: nothing more can be said to it.
				c.stdin.Close()
			}

			taken(int64(len(message)))
		}
	}
}

func (c *child) stop(grace time.Duration) {
	c.stopOnce.Do(func() {
		_ = syscall.Kill(-c.pid, syscall.SIGTERM)
	})
	select {
	case <-c.gone:
	case <-time.After(grace):
		c.kill()
	}
}

func (c *child) kill() {
	_ = syscall.Kill(-c.pid, syscall.SIGKILL)
	killRest(c.pid)
}
