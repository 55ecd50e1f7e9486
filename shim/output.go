package main

import (
	"bytes"
	"io"
	"sync"
)

const (
	// Of whole messages that nobody has acknowledged; the one under way is beside that.
	maxUnacknowledged = 4 << 20
	keptOfStderr      = 64 << 10
	chunk             = 64 << 10
)

// output is what a child writes, kept from the first byte that is not acknowledged on. Offsets count from
// the child's first byte.
type output struct {
	mutex   sync.Mutex
	changed *sync.Cond
	kept    []byte
	// Offset of kept's first byte, and of the byte after the last whole message.
	acked, whole int64
	closed       bool
	// Nothing waits for whoever reads: the oldest goes.
	lossy bool
}

func newOutput(lossy bool) *output {
	o := &output{lossy: lossy}
	o.changed = sync.NewCond(&o.mutex)
	return o
}

// readFrom takes all that the child writes, and lets it wait while too much is unread.
func (o *output) readFrom(source io.Reader) {
	buffer := make([]byte, chunk)
	for {
		o.mutex.Lock()
		for !o.lossy && o.whole-o.acked > maxUnacknowledged {
			o.changed.Wait()
		}
		o.mutex.Unlock()
		n, err := source.Read(buffer)
		o.mutex.Lock()
		o.kept = append(o.kept, buffer[:n]...)
		if at := bytes.LastIndexByte(buffer[:n], '\n'); at >= 0 {
			o.whole = o.acked + int64(len(o.kept)-n+at+1)
		}
		if over := len(o.kept) - keptOfStderr; o.lossy && over > 0 {
			o.drop(over)
		}
		o.closed = err != nil
		o.changed.Broadcast()
		o.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

func (o *output) drop(count int) {
	o.kept = append(o.kept[:0:0], o.kept[count:]...)
	o.acked += int64(count)
}

func (o *output) acknowledge(offset int64) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	count := offset - o.acked
	if count <= 0 || count > int64(len(o.kept)) {
		return
	}
	o.drop(int(count))
	o.changed.Broadcast()
}

// next returns what comes after an offset, as soon as there is anything; nothing at its end.
func (o *output) next(from int64, over func() bool) (payload []byte, at int64) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for {
		if over() {
			return nil, from
		}
		if from < o.acked {
			from = o.acked
		}
		if rest := o.kept[from-o.acked:]; len(rest) > 0 {
			if len(rest) > chunk {
				rest = rest[:chunk]
			}
			return append([]byte(nil), rest...), from + int64(len(rest))
		}
		if o.closed {
			return nil, from
		}
		o.changed.Wait()
	}
}

// sendTo writes all of it to a connection, from what is not acknowledged on, until it or that is over.
func (o *output) sendTo(w *wire, kind byte, over func() bool) {
	o.mutex.Lock()
	at := o.acked
	o.mutex.Unlock()
	for {
		payload, next := o.next(at, over)
		if payload == nil || w.write(kind, payload) != nil {
			return
		}
		at = next
	}
}

func (o *output) wake() {
	o.mutex.Lock()
	o.changed.Broadcast()
	o.mutex.Unlock()
}

func (o *output) ackedBytes() int64 {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.acked
}
