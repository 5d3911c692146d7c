package batchsim

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
)

// A Server serves a handler on a loopback socket, or in memory.
type Server struct {
	URL    string // "http://127.0.0.1:41234"
	http   http.Server
	memory *pipes
	served chan struct{}
}

// Listen serves h on a loopback socket of its own. It panics if there is no
// loopback interface: a simulator without one is of no use.
func Listen(h http.Handler) *Server {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic("batchsim: " + err.Error())
	}
	return serve(h, listener, "http://"+listener.Addr().String(), nil)
}

// ListenInMemory serves h over net.Pipe, for a testing/synctest bubble: only
// the client that HTTPClient returns reaches it.
func ListenInMemory(h http.Handler) *Server {
	memory := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	return serve(h, memory, "http://localhost", memory)
}

func serve(h http.Handler, listener net.Listener, url string, memory *pipes) *Server {
	s := &Server{URL: url, memory: memory, served: make(chan struct{})}
	s.http.Handler = h
	s.http.ErrorLog = log.New(io.Discard, "", 0)
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener)
	}()
	return s
}

// HTTPClient returns a client that reaches the server.
func (s *Server) HTTPClient() *http.Client {
	t := &http.Transport{}
	if s.memory != nil {
		t.DialContext = s.memory.dial
	}
	return &http.Client{Transport: t}
}

// Close stops the server and breaks every connection.
func (s *Server) Close() {
	_ = s.http.Close()
	<-s.served
}

// pipes is a listener whose connections are in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
