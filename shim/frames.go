package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
)

// A frame: a byte that says its kind, four of its length, and as many more.
const (
	frameJSON   = 'J'
	frameStdin  = 'I'
	frameStdout = 'O'
	frameStderr = 'E'

	maxFrame = 16<<20 + 64<<10
)

// readFrame returns a frame only when it is whole.
func readFrame(from io.Reader) (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err = io.ReadFull(from, head[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes", length)
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(from, payload)
	return head[0], payload, err
}

// wire writes frames, one at a time, whoever writes them.
type wire struct {
	conn  net.Conn
	mutex sync.Mutex
}

func (w *wire) write(kind byte, payload []byte) error {
	frame := make([]byte, 5+len(payload))
	frame[0] = kind
	binary.BigEndian.PutUint32(frame[1:], uint32(len(payload)))
	copy(frame[5:], payload)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	_, err := w.conn.Write(frame)
	return err
}

func (w *wire) tell(event any) error {
	text, err := json.Marshal(event)
	if err != nil {
		return err
	}
	return w.write(frameJSON, text)
}

type event map[string]any
