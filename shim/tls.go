package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// The only peer that is let in, by a certificate of our own authority.
const gatewayName = "mcp-supervisor-gateway"

const (
	helloPatience = 10 * time.Second
	maxStrangers  = 64
)

func listenTLS(address, folder string) (net.Listener, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(text) {
		return nil, errors.New("ca.crt holds no certificate")
	}
	return tls.Listen("tcp", address, &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{certificate},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              authorities,
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			leaf := state.PeerCertificates[0]
			if len(leaf.DNSNames) == 1 && leaf.DNSNames[0] == gatewayName {
				return nil
			}
			return errors.New("the peer is not the gateway")
		},
	})
}

// acceptAll gives each connection to meet once its peer has shown who it is. Who does not within the time
// is closed, and so is one of too many.
func acceptAll(listener net.Listener, meet func(*tls.Conn)) {
	var strangers atomic.Int32
	for {
		raw, err := listener.Accept()
		if err != nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if strangers.Add(1) > maxStrangers {
			strangers.Add(-1)
			raw.Close()
			continue
		}
		conn := raw.(*tls.Conn)
		go func() {
			_ = conn.SetDeadline(time.Now().Add(helloPatience))
			err := conn.Handshake()
			strangers.Add(-1)
			if err != nil {
				conn.Close()
				return
			}
			meet(conn)
		}()
	}
}
