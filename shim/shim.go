package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	protocol   = 1
	maxNote    = 256 << 10
	lookPeriod = 250 * time.Millisecond
)

// shim is all that outlives a connection.
type shim struct {
	mutex sync.Mutex
	// The highest that has called; lower ones are refused.
	epoch int64
	conns map[*session]bool
	// The newest control connection.
	control *session
	child   *child
	note    []byte
	// How long the gateway may be silent, and when it was last heard for sure.
	orphan, heardAt time.Duration
	isTerminating   bool
}

func newShim(orphan time.Duration) *shim {
	return &shim{orphan: orphan, heardAt: sinceBoot(), conns: map[*session]bool{}}
}

// session is one connection of the gateway.
type session struct {
	wire
	epoch int64
	over  bool
}

type hello struct {
	Op       string `json:"op"`
	Protocol int    `json:"protocol"`
	Epoch    int64  `json:"epoch"`
	For      string `json:"for"`
	Port     int    `json:"port"`
}

// watchSilence ends all that runs, and the pod with it, when the gateway has been silent for too long.
func (s *shim) watchSilence() {
	for {
		time.Sleep(lookPeriod)
		s.mutex.Lock()
		isOrphan := sinceBoot()-s.heardAt > s.orphan
		c := s.child
		s.mutex.Unlock()
		if !isOrphan {
			continue
		}
		say("the gateway was not heard for %v: all ends", s.orphan)
		if c != nil {
			c.kill()
			<-c.gone
		}
		os.Exit(0)
	}
}

// heard takes the clock that the gateway gives back, as it was told to it: so late as this it was heard
// for sure. When bytes arrive proves nothing, because a network that heals delivers old ones. Only the
// highest epoch counts.
func (s *shim) heard(epoch int64, clock time.Duration) {
	s.mutex.Lock()
	if epoch == s.epoch && clock > s.heardAt && clock <= sinceBoot() {
		s.heardAt = clock
	}
	s.mutex.Unlock()
}

// meet talks to a gateway that has shown who it is.
func (s *shim) meet(conn *tls.Conn) {
	me := &session{wire: wire{conn: conn}}
	defer conn.Close()
	kind, payload, err := readFrame(conn)
	var first hello
	if err != nil || kind != frameJSON || json.Unmarshal(payload, &first) != nil || first.Op != "hello" {
		return
	}
	_ = conn.SetDeadline(time.Time{})
	if first.Protocol != protocol {
		_ = me.refuse("UNKNOWN_PROTOCOL", fmt.Sprintf("protocol %d is spoken here", protocol))
		return
	}
	me.epoch = first.Epoch
	if !s.enter(me, first.For == "control") {
		_ = me.refuse("STALE_EPOCH", "a later daemon has called")
		return
	}
	defer s.leave(me)
	if first.For == "dial" {
		s.dial(me, conn, first.Port)
		return
	}
	s.serveControl(me, conn)
}

func (w *wire) refuse(code, message string) error {
	return w.tell(event{"event": "refused", "code": code, "message": message})
}

// enter admits a connection, and ends those that it takes the place of.
func (s *shim) enter(me *session, isControl bool) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if me.epoch < s.epoch {
		return false
	}
	for other := range s.conns {
		if other.epoch < me.epoch || (isControl && other == s.control) {
			other.over = true
			other.conn.Close()
		}
	}
	s.epoch = me.epoch
	s.conns[me] = true
	if isControl {
		s.control = me
	}
	return true
}

func (s *shim) leave(me *session) {
	s.mutex.Lock()
	me.over = true
	delete(s.conns, me)
	if s.control == me {
		s.control = nil
	}
	c := s.child
	s.mutex.Unlock()
	if c != nil {
		c.stdout.wake()
		c.stderr.wake()
	}
}

func (s *shim) isOver(me *session) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return me.over
}

func (s *shim) dial(me *session, conn net.Conn, port int) {
	near, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), helloPatience)
	if err != nil {
		_ = me.refuse("DIAL_FAILED", "nothing listens on the port")
		return
	}
	defer near.Close()
	if me.tell(event{"event": "hello", "protocol": protocol}) != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(near, conn)
		_ = near.(*net.TCPConn).CloseWrite()
		close(done)
	}()
	_, _ = io.Copy(conn, near)
	_ = conn.(*tls.Conn).CloseWrite()
	<-done
}

func (s *shim) serveControl(me *session, conn net.Conn) {
	s.mutex.Lock()
	c := s.child
	greeting := event{"event": "hello", "protocol": protocol, "version": version, "state": "empty", "clock": sinceBoot()}
	if s.note != nil {
		greeting["note"] = s.note
	}
	s.mutex.Unlock()
	if c != nil {
		greeting["acked"] = c.stdout.ackedBytes()
		greeting["stderr"] = c.stderr.ackedBytes()
		greeting["received"] = c.received.Load()
		greeting["state"] = "running"
		select {
		case <-c.gone:
			greeting["state"] = "ended"
			greeting["exit"] = c.exit
		default:
		}
	}
	if me.tell(greeting) != nil {
		return
	}
	for {
		kind, payload, err := readFrame(conn)
		if err != nil || s.isOver(me) {
			return
		}
		if kind == frameStdin {
			if c := s.current(); c != nil && c.stdin != nil {
				c.received.Add(int64(len(payload)))
				c.input <- payload
			}
			continue
		}
		if kind != frameJSON || !s.obey(me, payload) {
			return
		}
	}
}

func (s *shim) current() *child {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.child
}

// terminate passes on that the kubelet ends the pod. Without a gateway to see to it, the child is ended here.
func (s *shim) terminate() {
	s.mutex.Lock()
	s.isTerminating = true
	c, control := s.child, s.control
	s.mutex.Unlock()
	if c == nil {
		os.Exit(0)
	}
	if control == nil || control.tell(event{"event": "terminating"}) != nil {
		go c.stop(c.grace)
	}
	<-c.gone
	// What was told of it is on its way.
	time.Sleep(lookPeriod)
	os.Exit(0)
}
