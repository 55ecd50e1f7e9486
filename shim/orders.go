package main

import (
	"encoding/json"
	"time"
)

const lastWords = time.Second

type order struct {
	Op string `json:"op"`
	startOrder
	Bytes int64  `json:"bytes"`
	Data  []byte `json:"data"`
	N     int64  `json:"n"`
	Clock int64  `json:"clock"`
}

// obey does what the gateway orders; false for what no gateway orders.
func (s *shim) obey(me *session, payload []byte) bool {
	var o order
	if json.Unmarshal(payload, &o) != nil {
		return false
	}
	c := s.current()
	switch o.Op {
	case "ping":
		pong := measures()
		pong["event"], pong["n"], pong["clock"] = "pong", o.N, sinceBoot()
		return me.tell(pong) == nil
	case "heard":
		s.heard(me.epoch, time.Duration(o.Clock))
	case "start":
		s.start(me, o.startOrder)
	case "note":
		if len(o.Data) > maxNote {
			return false
		}
		s.mutex.Lock()
		s.note = o.Data
		s.mutex.Unlock()
	case "attach":
		if c != nil {
			s.attach(me, c)
		}
	case "ack":
		if c != nil {
			c.stdout.acknowledge(o.Bytes)
		}
	case "stop":
		if c != nil {
			go c.stop(time.Duration(o.GraceMs) * time.Millisecond)
		}
	default:
		return false
	}
	return true
}

func (s *shim) start(me *session, o startOrder) {
	s.mutex.Lock()
	if s.child != nil {
		s.mutex.Unlock()
		_ = me.refuse("ALREADY_STARTED", "it has been started before")
		return
	}
	c, err := startChild(o)
	if err != nil {
		s.mutex.Unlock()
		_ = me.tell(event{"event": "failed", "message": err.Error()})
		return
	}
	s.child = c
	if o.OrphanMs > 0 {
		s.orphan = time.Duration(o.OrphanMs) * time.Millisecond
	}
	s.mutex.Unlock()
	go c.feed(func(count int64) { s.tellControl(event{"event": "taken", "bytes": count}) })
	_ = me.tell(event{"event": "started", "pid": c.pid})
	s.attach(me, c)
}

// attach sends what the child has written and nobody has acknowledged, what it writes from now on, and its end.
func (s *shim) attach(me *session, c *child) {
	over := func() bool { return s.isOver(me) }
	said := make(chan struct{}, 2)
	go func() {
		c.stderr.sendTo(&me.wire, frameStderr, over)
		said <- struct{}{}
	}()
	go func() {
		c.stdout.sendTo(&me.wire, frameStdout, over)
		if !over() {
			_ = me.tell(event{"event": "stdout-closed"})
		}
		said <- struct{}{}
	}()
	go func() {
		<-c.gone
		// Its last words come before its end, unless nobody reads them.
		patience := time.After(lastWords)
		for range 2 {
			select {
			case <-said:
			case <-patience:
			}
		}
		_ = me.tell(event{"event": "ended", "exit": c.exit})
	}()
}

func (s *shim) tellControl(what event) {
	s.mutex.Lock()
	control := s.control
	s.mutex.Unlock()
	if control != nil {
		_ = control.tell(what)
	}
}
